#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "destination/snowflake/account.hpp"
#include "destination/snowflake/sql_runner.hpp"

namespace etl::destination::snowflake {

struct statement_limits {
  std::chrono::milliseconds running{600'000};  // the service cancels what runs longer
  std::chrono::milliseconds trying{60'000};    // for answers that pass by themselves, again and again
  std::chrono::milliseconds polling{1'000};    // at most, between two questions whether a statement has ended
};

// Runs statements by the SQL API (Snowflake documentation, "Snowflake SQL API"). Each has a session of its own, so a
// transaction has to be one statement: a block. Home core.
class statements {
 public:
  // `where` gives host, user, role, warehouse, database and schema.
  explicit statements(std::shared_ptr<account> where, statement_limits limits = {})
      : account_(std::move(where)), limits_(limits) {}

  // The statement's rows, all of them. It is run once, however often it has to be sent: each has an id that the service
  // knows again. Cancellable: then the statement is left to itself at Snowflake.
  //
  // Errors: `snowflake.statement` with SQLSTATE, code and the service's words in server_text (retry for what was
  // interrupted or lost a lock, config for the others); `snowflake.unavailable` (retry) when trying again did not help;
  // `snowflake.answer` (retry); those of account::send().
  asio::awaitable<result<sql_rows>> run(std::string sql);

  // For whoever wants a function; it keeps the account.
  [[nodiscard]] static sql_runner runner(std::shared_ptr<account> where, statement_limits limits = {});

 private:
  asio::awaitable<result<http::response>> ask(std::string method, std::string target, std::string body);
  asio::awaitable<result<http::response>> wait_for_end(http::response pending);
  asio::awaitable<result<sql_rows>> read_all(http::response first);

  std::shared_ptr<account> account_;
  statement_limits limits_;
};

}  // namespace etl::destination::snowflake
