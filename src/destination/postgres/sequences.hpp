#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/sequence.hpp"
#include "pg/connection.hpp"

namespace etl::destination::postgres {

namespace asio = boost::asio;

// How each sequence was set last, by name: what has not moved since is left alone.
using known_sequences = boost::unordered_flat_map<std::string, std::string>;

// Makes the sequences that are missing, and sets all to the source's values. Not in a transaction, please.
asio::awaitable<result<void>> set_sequences(pg::connection& connection, std::vector<model::sequence> wanted,
                                            known_sequences& known);

}  // namespace etl::destination::postgres
