#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "model/relation.hpp"
#include "pg/connection.hpp"
#include "pgoutput/decoder.hpp"
#include "pipeline/home.hpp"
#include "pipeline/schema_change.hpp"
#include "replication/receive_habit.hpp"

namespace etl::pipeline {

class copier;

// Reads the replication stream: decodes, assigns positions, routes rows into the batch, and keeps the reconciler and
// the feedback up to date. Home core.
class stream {
 public:
  // Makes a connection fit for replication, before it is started on it.
  static void suit(pg::connection& connection);

  stream(home& core, copier& copies, pg::connection& connection);

  // Until the server ends the stream, an error, or home::stopping at the end of a transaction. An end by the server is
  // an error of severity `retry`.
  asio::awaitable<result<void>> run();

 private:
  asio::awaitable<result<void>> wait_for_more();
  asio::awaitable<result<void>> wait_for_room();
  result<void> keepalive(pgoutput::keepalive const& frame);
  // Every message but Relation, which may have to ask the catalog. No coroutine: it runs once a row.
  result<void> handle(pgoutput::message const& message);
  // Whether it is about a table of which the Relation message was not taken in when it came.
  bool lacks_schema(pgoutput::message const& message);
  asio::awaitable<result<void>> handle_told_before(pgoutput::message const& message);

  result<void> begin(pgoutput::begin const& message);
  result<void> commit(pgoutput::commit const& message);
  result<void> insert(pgoutput::insert const& message);
  result<void> update(pgoutput::update const& message);
  result<void> remove(pgoutput::remove const& message);
  result<void> truncate(pgoutput::truncate const& message);
  asio::awaitable<result<void>> relation(pgoutput::relation const& message);

  // The table of a row that is to be emitted; null when it is not replicated, stopped, or seen by its whole copy.
  // Throws std::logic_error when the server sent no Relation message before the row.
  replicated_table* table_of(std::uint32_t oid);
  // Whether the old row of an UPDATE or DELETE can be found at the destination: by its key, or by all of its values.
  [[nodiscard]] bool can_find(replicated_table const& table, pgoutput::old_row sent) const;
  result<void> emit_removal(replicated_table& table, position at, pgoutput::tuple old_values);
  result<void> emit(replicated_table& table, model::operation kind, position at, pgoutput::tuple old_values,
                    pgoutput::tuple new_row);
  void touch(replicated_table& table, pgoutput::tuple values);
  // What the catalog says of a table now, of which a message has come; nothing when it is no longer published.
  asio::awaitable<result<std::optional<catalog::table>>> look_up(pgoutput::relation const& message);
  asio::awaitable<result<void>> describe(model::relation& schema);
  // Rows have the schema that the destination's table has.
  void follow(replicated_table& table);
  // Makes the destination's table fit the schema of the rows to come, and has the table copied again where rows that
  // are there changed without a word. `seen`: the catalog has the table.
  asio::awaitable<result<void>> adopt(replicated_table& table, next_schema next, bool seen);
  asio::awaitable<result<std::optional<catalog::table>>> published(std::uint32_t oid);
  // A table that is not replicated so far; null: nor is it to be.
  asio::awaitable<result<replicated_table*>> discover(std::uint32_t oid);
  // Another table that has the name at the destination still, and has lost it at the source; null: there is none.
  replicated_table* holder_of_name(std::uint32_t oid, std::string_view schema, std::string_view name);
  // Its own next message, or the next look at the catalog, gives it the name that it has by now.
  asio::awaitable<result<void>> move_aside(replicated_table& table);
  asio::awaitable<result<void>> drain();
  // Acts on what the catalog was seen to say, as far as the stream has come to it.
  asio::awaitable<result<void>> apply_seen();

  home& core_;
  copier& copies_;
  pg::connection& connection_;
  pgoutput::decoder decoder_;
  pgoutput::message decoded_;
  std::unordered_map<std::uint32_t, std::string> told_;  // each table's last Relation message
  replication::receive_habit habit_;
  std::vector<pgoutput::value> completed_;  // an update's new row with values filled in from the old one
  std::uint32_t xid_ = 0;
  std::int64_t commit_time_ = 0;
  lsn looked_at_{};  // of the seen changes, the stream's position when they were last gone through
  position last_emitted_{};
  bool emitted_ = false;      // in this transaction
  std::size_t taken_in_ = 0;  // bytes, since the habit was asked last
  replication::habit way_;
};

}  // namespace etl::pipeline
