#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "destination/postgres/definition.hpp"
#include "pg/connection.hpp"

namespace etl::destination::postgres {

namespace asio = boost::asio;

// Waits, until the transaction ends, for other pipelines that make schemas, tables or types.
inline constexpr std::string_view schema_lock =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('etl-stream schema', 0))";

// What the destination's catalog says. Nothing here changes anything.
// Nothing when there is no relation of that name.
asio::awaitable<result<std::optional<existing_table>>> find_table(pg::connection& connection,
                                                                  model::relation const& table);
// The same for many tables, in the time of one; in their order.
asio::awaitable<result<std::vector<std::optional<existing_table>>>> find_tables(
    pg::connection& connection, std::vector<model::relation_ptr> const& tables);
// Whether there are rows in these tables.
asio::awaitable<result<std::vector<bool>>> find_rows(pg::connection& connection,
                                                     std::vector<std::pair<model::relation_ptr, char>> tables);
asio::awaitable<result<known_types>> find_types(pg::connection& connection, std::vector<std::string> wanted);

}  // namespace etl::destination::postgres
