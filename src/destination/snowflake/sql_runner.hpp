#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace etl::destination::snowflake {

// A result's rows, as texts; SQL's NULL is nothing.
using sql_rows = std::vector<std::vector<std::optional<std::string>>>;
// Runs one statement (or one block) at Snowflake. Home core; several may run at a time. Owns what it needs.
using sql_runner = std::function<boost::asio::awaitable<result<sql_rows>>(std::string)>;

}  // namespace etl::destination::snowflake
