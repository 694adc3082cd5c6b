#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "config/pipeline_config.hpp"
#include "destination/destination.hpp"
#include "pg/connection.hpp"
#include "pipeline/batch_builder.hpp"
#include "pipeline/catalog.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/tables.hpp"
#include "replication/feedback.hpp"
#include "replication/reconciler.hpp"
#include "replication/transaction.hpp"
#include "runtime/circuit_breaker.hpp"
#include "runtime/event.hpp"
#include "state/store.hpp"

namespace etl::pipeline {

// What outlives one attempt at running a pipeline. Belongs to its home core.
struct lasting {
  config::pipeline_config const& config;
  runtime::circuit_breaker& breaker;
  std::set<std::uint32_t> stopped_tables;  // given up in this process: not tried again before the next
  bool has_run = false;                    // an attempt got as far as streaming
  bool only_text = false;                  // a table turned up that cannot be streamed in binary form
  bool told_of_left_alone = false;         // tables without WAL
  bool slot_is_useless = false;            // the server cannot decode what it holds; nothing was delivered from it
  std::shared_ptr<void> memory;            // the destination's own
};

// The state that the parts of one attempt (stream, writer, status, copier) share. All of them are coroutines of the
// home core, so whatever happens between two awaits happens at once.
struct home {
  home(lasting& life_, asio::any_io_executor executor_, destination::destination& target, state::store& store_,
       pg::connect_options catalog_access, batch_limits limits)
      : life(life_),
        executor(executor_),
        destination(target),
        store(store_),
        metadata(executor_, std::move(catalog_access)),
        builder(target.what_it_can(), target.wants(), limits),
        writer_wake(executor_),
        reader_wake(executor_),
        status_wake(executor_),
        copier_wake(executor_),
        settled(executor_) {}

  lasting& life;
  asio::any_io_executor executor;
  destination::destination& destination;
  state::store& store;
  metadata_connection metadata;
  catalog::server_facts server;
  std::vector<std::string> publications;

  table_registry tables;
  std::vector<seen_change> seen;  // not yet acted on
  batch_builder builder;
  replication::reconciler reconciler;
  replication::feedback feedback;
  replication::transaction_cursor cursor;

  position delivered{};     // everything at or below is durable
  position recovered{};     // rows at or below were durable before this attempt
  position furthest{};      // some lane of the destination held rows up to here before this attempt
  lsn received{};           // end of what the stream has brought, between two transactions
  lsn last_commit{};        // of the newest transaction emitted or dropped as durable
  std::uint32_t epoch = 0;  // counts the attempts, for the ordinals of chunk rows
  std::uint64_t chunk_sequence = 0;

  // Each event wakes one part; what it then does follows from the state.
  runtime::event writer_wake;  // something to write or to flush
  runtime::event reader_wake;  // the batch has room again, or stopping
  runtime::event status_wake;  // something to tell PostgreSQL
  runtime::event copier_wake;  // a chunk was emitted, memory is free, a key has to be read
  runtime::event settled;      // durable moved, a table's copy ended, the stream passed a keepalive

  std::function<void()> on_room;  // the batch was taken: what waited for room may go in

  std::optional<std::vector<model::sequence>> sequences;  // to be carried to the destination

  bool keep_recording = false;  // a table's new partitions are to be copied soon
  bool flush_wanted = false;    // somebody waits for durability: do not wait for max_fill
  bool reply_wanted = false;    // the server asked for a status
  bool ask_server = false;      // the next status asks the server where it is
  bool stopping = false;        // no new transactions, no new chunks
  bool closing = false;         // the stream has ended: write what is left, make it durable, and return
  bool look_wanted = false;     // the catalog is to be asked at once, and all of it
  bool written_out = false;     // the writer has done that
  bool waits_for_room = false;  // the stream does not read because the destination is behind
  std::chrono::steady_clock::time_point last_heard{};  // when the server last sent anything
  bool drain_wanted = false;                           // the stream waits for an empty batch, to change a table
  bool unflushed = false;                              // the destination holds rows that are not durable
  bool writing = false;

  [[nodiscard]] config::pipeline_config const& config() const { return life.config; }
  // The stream has passed what the destination had at the start. Before that, the rows of a transaction that was
  // delivered by half may still be missing, so nothing may take a position behind it; and what took one before it would
  // be dropped as delivered.
  [[nodiscard]] bool caught_up() const { return furthest == position{} || received > furthest.commit; }
  // Nothing is on its way to the destination.
  [[nodiscard]] bool idle() const { return builder.empty() && !writing && !unflushed; }

  // Puts the table's copy progress into the batch, to be stored with the rows before it.
  void record_progress(replicated_table& table) {
    builder.add_document({copy_progress::key(table.facts.relation->oid), table.progress.to_document()});
    writer_wake.notify();
  }
  // Hands a change over to the stream, in the place of an earlier one of the table.
  void saw(seen_change change);
  // The documents that say how a table is from now on.
  enum class copied : std::uint8_t { as_before, again, afresh };  // afresh: into an empty table
  [[nodiscard]] static std::vector<model::document> documents_of(known_schema const& schema, copied how);
  // The table is no longer published: its rows are dropped from here on. Should it come back it is copied afresh.
  void leave_table(replicated_table& table, std::string_view why);
  // Gives one table up: its rows are dropped from here on, the others run on.
  void stop_table(replicated_table& table, error const& why);
};

}  // namespace etl::pipeline
