#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "destination/snowflake/apply_sql.hpp"
#include "destination/snowflake/sql_runner.hpp"
#include "runtime/event.hpp"

namespace etl::destination::snowflake {

// Brings the target tables up to what has landed, from time to time, beside the ingestion: with apply = "merge". Home
// core. A table is only touched when rows have arrived for it since, so that an idle one costs no warehouse.
class applier : public std::enable_shared_from_this<applier> {
 public:
  applier(boost::asio::any_io_executor executor, sql_runner sql, std::chrono::milliseconds every);
  applier(applier const&) = delete;
  applier& operator=(applier const&) = delete;

  // Adds a table, or gives it the statements of a new schema version. What its landing table holds is not known, so it
  // is looked at.
  void adopt(std::uint32_t table, apply_sql sql);
  // Rows of the table up to `last` have been taken in, or had landed before.
  void rows_arrived(std::uint32_t table, position last);
  // Every row at or below `upto` has landed; only grows.
  void delivered(position upto);

  // Begins to apply every so often. The coroutine keeps this object alive; it ends with stop(), or the first error.
  void start();
  // Ends it, where a statement is on its way too. Not to be cancelled.
  boost::asio::awaitable<void> stop();
  // stop() for who cannot wait.
  void abandon() { stop_.emit(boost::asio::cancellation_type::terminal); }
  // What made it end, once.
  [[nodiscard]] std::optional<error> take_failure();

  // Applies everything at or below what is delivered. Not while it runs by itself.
  boost::asio::awaitable<result<void>> apply_all();

 private:
  using clock = std::chrono::steady_clock;
  struct table {
    apply_sql sql;
    bool looked_at = false;  // since it was adopted
    position newest{};       // of the rows that have arrived
    position applied{};      // nothing at or below is in the landing table any more
  };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<result<void>> apply(std::uint32_t id, position upto);
  boost::asio::awaitable<result<survey>> look(apply_sql const& sql, position upto);

  boost::asio::any_io_executor executor_;
  sql_runner sql_;
  std::chrono::milliseconds every_;
  std::map<std::uint32_t, std::shared_ptr<table>> tables_;
  position delivered_{};
  boost::asio::cancellation_signal stop_;
  bool running_ = false;
  runtime::event ended_;
  std::optional<error> failure_;
};

}  // namespace etl::destination::snowflake
