#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "destination/postgres/planner.hpp"
#include "destination/postgres/target.hpp"
#include "model/batch.hpp"
#include "pg/connection.hpp"

namespace etl::destination::postgres {

// Turns batches into SQL on one connection. Few rows become prepared statements that wait in a queue and go out in one
// round trip, together with whatever begins and commits the transaction; many rows become COPY and set-based
// statements, before which the queue is sent. The caller holds the transaction and rolls it back when something fails.
class applier {
 public:
  // Segments that take the careful way after rows were found where none should be: so many that an overlapping copy
  // does not fail over and over, and so few that one foreign row costs little.
  static constexpr unsigned careful_segments = 32;

  // `connection` must outlive this.
  applier(pg::connection& connection, encoding rows)
      : connection_(connection), binary_(rows == encoding::copy_binary) {}

  // Forgets what the last batch needed. Nothing may be queued.
  void start_batch();

  // Puts one statement behind those that wait. Parameters are text and must stay until the next send().
  void queue(std::string sql, std::initializer_list<std::string_view> parameters = {});
  // Applies rows of one table; some may only be queued on return, so `segment` must stay until the next send().
  asio::awaitable<result<void>> rows(target& to, model::table_rows const& segment);
  void truncate(std::vector<target*> const& tables, model::truncation const& event, bool by_deleting);
  [[nodiscard]] bool idle() const { return statements_.empty(); }
  // Sends what waits, in one round trip.
  asio::awaitable<result<void>> send();

  // What failed: the table (of a TRUNCATE the first one) and the way its rows took. Null when it was no table's
  // statement.
  struct failed_deed {
    target* table = nullptr;
    route way = route::plain;
    bool truncation = false;
  };
  [[nodiscard]] failed_deed const& failed() const { return failed_; }
  // After a rollback (which has also deallocated the prepared statements): drops what waits.
  void rolled_back();

 private:
  // What an answer tells about the rows that a statement was for.
  enum class expectation : std::uint8_t { nothing, affected, is_new, is_known, completed };
  struct waiting {
    target* about = nullptr;
    route way = route::plain;
    expectation expects = expectation::nothing;
    std::uint64_t rows = 0;  // that have to be affected
    bool truncation = false;
  };

  asio::awaitable<result<void>> append(target& to, model::table_rows const& segment);
  asio::awaitable<result<void>> change_by_value(target& to, model::table_rows const& segment);
  asio::awaitable<result<void>> change(target& to);
  asio::awaitable<result<void>> copy(target& to, model::table_rows const& segment);
  asio::awaitable<result<void>> copy_added(target& to);
  asio::awaitable<result<void>> stage(target& to, bool rest, bool added);
  void prepare_stage(target& to);
  asio::awaitable<result<void>> fill_stage(target& to, bool rest, bool added);
  asio::awaitable<result<void>> stage_rows(target& to, std::int16_t kind, std::vector<std::string_view> const& rows);
  asio::awaitable<result<void>> merge_staged(target& to, bool rest, bool added);
  asio::awaitable<result<void>> replace_staged(target& to);
  asio::awaitable<result<void>> put_out(target& to);
  asio::awaitable<result<void>> begin_copy(target& to, std::string sql);
  asio::awaitable<result<void>> end_copy(target& to);

  void queue_rest(target& to);
  void queue_upserts(target& to, std::vector<std::string_view> const& rows, expectation expects);
  void queue_update(target& to, target::prepared& statement, std::string_view row, std::string_view key);
  void queue_rekeyed(target& to);
  void queue_prepared(target& to, target::prepared& statement, std::vector<pg::parameter> parameters,
                      expectation expects);
  // Queues SQL about a table's staged rows; its place among the answers of the next send().
  std::size_t queue_staged(target& to, std::string sql, expectation expects = expectation::nothing,
                           std::uint64_t rows = 0);
  [[nodiscard]] target::prepared& prepared(target& to, std::string_view kind, std::string_view unchanged = {});
  [[nodiscard]] std::vector<pg::parameter> parameters_of(std::initializer_list<std::string_view> fields) const;

  asio::awaitable<result<std::vector<pg::rows>>> send_and_read();
  static void check(waiting const& about, pg::rows const& answer);
  void note_difference(target& at, std::uint64_t rows);
  error failure_at(target& to, error failure);

  pg::connection& connection_;
  bool binary_;
  planner planner_;
  net_changes changes_;
  arena memory_;
  buffer out_;
  bool differences_count_ = true;  // for the segment in hand

  std::vector<pg::statement> statements_;
  std::vector<waiting> waiting_;  // about each of statements_
  std::deque<std::string> texts_;
  std::uint64_t generation_ = 1;
  std::size_t prepared_ = 0;
  failed_deed failed_;
};

}  // namespace etl::destination::postgres
