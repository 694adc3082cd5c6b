#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>

#include "base/error.hpp"
#include "destination/postgres/definition.hpp"
#include "pg/connection.hpp"

namespace etl::destination::postgres {

namespace asio = boost::asio;

// What the destination's catalog says. Nothing here changes anything.
// Nothing when there is no relation of that name.
asio::awaitable<result<std::optional<existing_table>>> find_table(pg::connection& connection,
                                                                  model::relation const& table);
asio::awaitable<result<known_types>> find_types(pg::connection& connection, std::vector<std::string> wanted);
// For each column of the key the operator by which a unique index compares it, qualified: the session's search path is
// empty, and a plain `=` between, say, citext would silently be that of text. Empty when every type is built in.
asio::awaitable<result<std::vector<std::string>>> find_key_operators(pg::connection& connection,
                                                                     model::relation const& table);

}  // namespace etl::destination::postgres
