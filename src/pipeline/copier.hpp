#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "pipeline/chunk_reader.hpp"
#include "pipeline/home.hpp"

namespace etl::pipeline {

// Copies tables in chunks and lets each chunk into the batch where the reconciler says that it may go. Lives on the
// home core; the reading and encoding happens on other cores, one chunk_reader a worker.
//
// The rules are those of docs/architecture.md, "Copy": remember the stream's keys from before the snapshot is taken;
// refuse a snapshot that does not see what the stream has emitted; emit a chunk between two transactions, once the
// stream has passed everything that the snapshot saw, without the rows whose keys were remembered.
class copier {
 public:
  struct worker_place {
    boost::asio::io_context* core;
    pg::connect_options connect;
  };
  // Registers a table that the stream mentions for the first time; null: it is not to be replicated.
  using discoverer = std::function<asio::awaitable<result<replicated_table*>>(std::uint32_t oid)>;

  copier(home& core, boost::asio::io_context& home_core, std::vector<worker_place> places,
         encode::ndjson_options ndjson, discoverer discover);
  ~copier();

  // Plans what is missing of the table's copy. Before or while run() is at work. `empty_first`: the destination's table
  // is emptied before the first row.
  void start(replicated_table& table, bool empty_first = false);
  // Whether a table's partitions are not those that its copy knows of. Attaching, detaching or truncating one is in no
  // stream that carries the rows by the root.
  [[nodiscard]] static bool partitions_differ(replicated_table const& table, std::vector<catalog::storage> const& now);
  // Copies new partitions of a table whose copy is done, and tells of the others. What the stream has emitted has been
  // recorded for a while (or nothing was emitted yet).
  void partitions_changed(replicated_table& table, std::vector<catalog::storage> now);
  // Forgets what the stream has emitted, unless some copy still has to know it.
  void stop_recording();
  // Reads chunks until home::stopping. Errors: what a worker could not get over.
  asio::awaitable<result<void>> run();
  // Every table is copied (or given up), and no row is waiting to be read by its key.
  [[nodiscard]] bool finished() const;

  // The end of what loaded chunks wait for the stream to pass; zero: none waits.
  [[nodiscard]] lsn waits_for() const;
  // The stream touches more keys than should be remembered: gives the open chunks up and begins them anew.
  void relieve();

  // Called by the stream.
  // Lets ready chunks into the batch. Does nothing inside a transaction or while the batch is full.
  void emit_ready();
  // The stream, inside of transaction `xid`, had no values for some columns of this row, which the destination may not
  // have: read it by its key, after the table's copy, too.
  void want_row(replicated_table& table, pgoutput::tuple row, std::uint32_t xid);
  // The stream removes this row of a table without a key whose copy goes on, so that the row may not have been copied
  // yet: it is removed when the copy is done. Equal rows are as good as each other, so the sum is right then.
  void remove_later(replicated_table& table, std::int64_t commit_time, pgoutput::tuple row);
  void truncated(replicated_table& table);
  asio::awaitable<result<replicated_table*>> discover(std::uint32_t oid) { return discover_(oid); }
  [[nodiscard]] row_encoder encoder_for(model::relation_ptr table) const;
  // The table's columns changed: reads what is not yet emitted again, under the new schema.
  asio::awaitable<result<void>> schema_changed(replicated_table& table);
  // The same, with all that was read before: rows changed in a way that the stream did not bring. `empty_first`: those
  // at the destination cannot be found by their keys any more.
  asio::awaitable<result<void>> copy_again(replicated_table& table, bool empty_first);
  // Nothing more of the table is to be copied.
  void end(replicated_table& table);
  [[nodiscard]] static error no_key_error(replicated_table const& table, std::string_view event);

  // How far one table is, for people.
  struct view {
    std::string name;
    std::uint64_t rows = 0;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_total = 0;
    bool done = false;
  };
  [[nodiscard]] std::vector<view> progress() const;

 private:
  struct table_copy;
  struct task;
  struct open_chunk;
  struct worker;

  asio::awaitable<result<void>> work(worker& one);
  asio::awaitable<result<void>> interrupt_at_the_end();
  asio::awaitable<result<void>> run_task(worker& one, std::shared_ptr<task> job);
  asio::awaitable<result<void>> run_whole(worker& one, std::shared_ptr<task> job);
  void keep_untouched(std::uint64_t id, chunk_rows& rows) const;
  std::shared_ptr<task> next_task();
  asio::awaitable<result<snapshot_verdict>> judge(std::uint64_t chunk, replication::snapshot snapshot);
  void loaded(std::uint64_t chunk, chunk_answer answer);
  void emit(std::uint64_t id);
  void append(table_copy& copy, chunk_rows rows);
  void give_back(std::shared_ptr<task> job);
  void abandon_all(table_copy& copy);
  void end_early(table_copy& copy);
  void begin(table_copy& copy);
  void check_done(table_copy& copy);
  asio::awaitable<result<void>> refresh(table_copy& copy, bool empty_first = false);
  // A chunk was read under a schema that the stream has not come to: gives it up until then.
  void await_schema(table_copy& copy, model::relation_ptr read_as, lsn high);
  table_copy* find(std::uint32_t oid);

  home& core_;
  boost::asio::io_context& home_core_;
  std::vector<std::unique_ptr<worker>> workers_;
  encode::ndjson_options ndjson_;
  discoverer discover_;
  std::map<std::uint32_t, std::unique_ptr<table_copy>> copies_;
  std::map<std::uint64_t, std::unique_ptr<open_chunk>> chunks_;
  std::vector<table_copy*> pieces_;  // those that have one
  position last_{};                  // of the last chunk row that was emitted
  std::size_t bytes_waiting_ = 0;
  std::size_t chunk_bytes_;
  std::size_t most_waiting_;
  bool caught_up_ = false;
};

}  // namespace etl::pipeline
