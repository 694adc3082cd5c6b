#include "pipeline/stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>

#include "base/log.hpp"
#include "encode/key.hpp"
#include "pg/type_definitions.hpp"
#include "pipeline/copier.hpp"

namespace etl::pipeline {
namespace {

using model::operation;
using pgoutput::value_kind;

// What is taken in before it is decoded stays bounded.
constexpr std::size_t most_reads = 16;

// While the window is shut, what the walsender sends is appended to a segment that already waits, at next to no cost;
// so on a short path a small one is faster. On a long one it would limit throughput to window / round trip. It has to
// be small from the start: a window that shrinks later may stay shut until a timer of the sender's opens it.
constexpr std::uint32_t small_receive_buffer = 48 << 10;
constexpr auto short_path = std::chrono::milliseconds(1);

error protocol_error(pgoutput::failure const& failure) {
  error found{severity::bug, "stream.protocol",
              fmt::format("a replication message cannot be decoded: {} (byte {})", failure.what, failure.offset)};
  found.hint = "Please report this with the server's version.";
  return found;
}

bool same_value(pgoutput::value const& a, pgoutput::value const& b) { return a.kind == b.kind && a.data == b.data; }

bool has_unchanged(pgoutput::tuple row) {
  return std::any_of(row.begin(), row.end(), [](auto const& v) { return v.kind == value_kind::unchanged; });
}

bool same_columns(model::relation const& known, pgoutput::relation const& message) {
  return known.schema == message.schema && known.name == message.name &&
         static_cast<char>(known.identity) == message.replica_identity &&
         std::equal(known.columns.begin(), known.columns.end(), message.columns.begin(), message.columns.end(),
                    [](model::column const& a, pgoutput::relation_column const& b) {
                      return a.name == b.name && a.type_oid == b.type_oid && a.type_modifier == b.type_modifier;
                    });
}

// What a Relation message says, with what the catalog knew of columns of the same names. Types are still to be named.
model::relation from_message(pgoutput::relation const& message, model::relation const& known) {
  model::relation made;
  made.oid = message.oid;
  made.version = known.version + 1;
  made.schema = message.schema;
  made.name = message.name;
  made.identity = static_cast<model::replica_identity>(message.replica_identity);
  made.computed = known.computed;
  bool const flags_name_key = made.identity != model::replica_identity::full;
  for (auto const& column : message.columns) {
    model::column c;
    c.name = column.name;
    c.type_oid = column.type_oid;
    c.type_modifier = column.type_modifier;
    auto const at =
        std::find_if(known.columns.begin(), known.columns.end(), [&](auto const& k) { return k.name == c.name; });
    if (at != known.columns.end()) {
      c.attribute_number = at->attribute_number;
      c.not_null = at->not_null;
    }
    c.key = flags_name_key ? column.key : at != known.columns.end() && at->key;
    made.columns.push_back(std::move(c));
  }
  // The order of the key's columns is the catalog's; the message only flags them.
  for (auto const index : known.key) {
    auto const& name = known.columns[index].name;
    for (std::size_t i = 0; i < made.columns.size(); ++i) {
      if (made.columns[i].key && made.columns[i].name == name) made.key.push_back(static_cast<std::uint16_t>(i));
    }
  }
  for (std::size_t i = 0; i < made.columns.size(); ++i) {
    auto const index = static_cast<std::uint16_t>(i);
    if (made.columns[i].key && std::find(made.key.begin(), made.key.end(), index) == made.key.end())
      made.key.push_back(index);
  }
  return made;
}

}  // namespace

stream::stream(home& core, copier& copies, pg::connection& connection)
    : core_(core), copies_(copies), connection_(connection) {}

void stream::suit(pg::connection& connection) {
  if (connection.round_trip() < short_path) connection.limit_receive_buffer(small_receive_buffer);
}

asio::awaitable<result<void>> stream::run() {
  for (;;) {
    for (;;) {
      if (core_.builder.full()) {
        if (auto waited = co_await wait_for_room(); !waited) co_return waited;
      }
      if (core_.stopping && !core_.cursor.in_transaction()) co_return result<void>();
      std::string_view data;
      auto const got = connection_.next_copy(data);
      if (!got) co_return fail(result(got));
      if (*got == pg::connection::got::nothing_yet) break;
      if (*got == pg::connection::got::end) {
        auto ended = co_await connection_.end_copy_out("streaming");
        if (!ended) co_return ended;
        co_return error{severity::retry, "stream.ended", "the server ended the replication stream",
                        "It is probably shutting down; the stream goes on when it is back."};
      }
      taken_in_ += data.size();
      pgoutput::frame frame;
      if (auto failed = pgoutput::decode_frame(data, frame)) co_return protocol_error(*failed);
      if (auto const* idle = std::get_if<pgoutput::keepalive>(&frame)) {
        if (auto handled = keepalive(*idle); !handled) co_return handled;
      } else {
        auto const& wal = std::get<pgoutput::xlog_data>(frame);
        if (auto failed = decoder_.decode(wal.payload, decoded_)) co_return protocol_error(*failed);
        auto const* const schema = std::get_if<pgoutput::relation>(&decoded_);
        auto handled = schema != nullptr ? co_await relation(*schema) : handle(decoded_);
        if (!handled) {
          auto failure = fail(std::move(handled));
          if (failure.where == lsn{}) failure.where = lsn{wal.start};
          co_return failure;
        }
      }
    }
    if (auto waited = co_await wait_for_more(); !waited) co_return waited;
  }
}

asio::awaitable<result<void>> stream::wait_for_room() {
  core_.waits_for_room = true;
  while (core_.builder.full()) {
    core_.writer_wake.notify();
    co_await core_.reader_wake.wait();
  }
  core_.waits_for_room = false;
  habit_.interrupted(std::chrono::steady_clock::now());
  core_.last_heard = std::chrono::steady_clock::now();
  co_return result<void>();
}

asio::awaitable<result<void>> stream::wait_for_more() {
  using namespace asio::experimental::awaitable_operators;
  auto const now = std::chrono::steady_clock::now();
  if (taken_in_ > 0) core_.last_heard = now;
  auto const way = habit_.next(now, std::exchange(taken_in_, 0));
  if (way != way_) {
    if (way.low_water != way_.low_water) connection_.wake_at(way.low_water);
    log::debug("receiving in another way", {{"pipeline", core_.config().name},
                                            {"pause_us", std::int64_t{way.pause.count()}},
                                            {"drain", way.drain},
                                            {"low_water", std::int64_t{way.low_water}}});
    way_ = way;
  }
  if (way.pause.count() > 0) {
    asio::steady_timer pause(core_.executor, way.pause);
    if (way.low_water > 0) {
      co_await (connection_.wait_readable() || pause.async_wait(asio::as_tuple(asio::use_awaitable)));
    } else {
      auto [failed] = co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      if (failed) throw boost::system::system_error(failed);
    }
  } else {
    auto outcome = co_await (connection_.wait_readable() || core_.reader_wake.wait());
    if (auto* readable = std::get_if<0>(&outcome); readable != nullptr && !*readable) co_return std::move(*readable);
  }
  auto taken = connection_.take_in();
  for (std::size_t turns = 1; taken && way.drain && turns < most_reads && connection_.readable_bytes() > 0; ++turns) {
    taken = connection_.take_in();
  }
  co_return taken;
}

result<void> stream::keepalive(pgoutput::keepalive const& frame) {
  if (!core_.cursor.in_transaction()) {
    core_.received = lsn{frame.end};
    core_.feedback.received(core_.received);
    core_.reconciler.stream_position(lsn{frame.end});
    copies_.emit_ready();
    core_.settled.notify();
  }
  if (frame.reply_requested) {
    // A server that shuts down waits until we confirm everything: let it go soon.
    core_.reply_wanted = true;
    if (!core_.idle()) {
      core_.flush_wanted = true;
      core_.writer_wake.notify();
    }
    core_.status_wake.notify();
  }
  return result<void>();
}

result<void> stream::handle(pgoutput::message const& message) {
  if (auto const* m = std::get_if<pgoutput::insert>(&message)) return insert(*m);
  if (auto const* m = std::get_if<pgoutput::update>(&message)) return update(*m);
  if (auto const* m = std::get_if<pgoutput::remove>(&message)) return remove(*m);
  if (auto const* m = std::get_if<pgoutput::begin>(&message)) return begin(*m);
  if (auto const* m = std::get_if<pgoutput::commit>(&message)) return commit(*m);
  if (auto const* m = std::get_if<pgoutput::truncate>(&message)) return truncate(*m);
  return result<void>();  // Type, Origin and logical messages change no row
}

result<void> stream::begin(pgoutput::begin const& message) {
  if (auto begun = core_.cursor.begin(message); !begun) return begun;
  xid_ = message.xid;
  commit_time_ = message.commit_time;
  emitted_ = false;
  core_.builder.begin_transaction();
  core_.reconciler.begin_transaction(message.xid);
  return result<void>();
}

result<void> stream::commit(pgoutput::commit const& message) {
  if (auto ended = core_.cursor.commit(message); !ended) return ended;
  lsn const end{message.end_lsn};
  core_.last_commit = std::max(core_.last_commit, lsn{message.commit_lsn});
  core_.builder.end_transaction(emitted_ ? last_emitted_ : position{}, end, commit_time_);
  if (emitted_) {
    core_.feedback.emitted(last_emitted_, end);
    core_.writer_wake.notify();
  }
  core_.received = end;
  core_.feedback.received(end);
  core_.reconciler.commit(end);
  copies_.emit_ready();
  return result<void>();
}

replicated_table* stream::table_of(std::uint32_t oid) {
  auto* const table = core_.tables.find(oid);
  if (table == nullptr || table->stopped) return nullptr;
  if (!table->target) throw std::logic_error("a row arrived before its Relation message");
  if (table->seen_by_copy && !table->seen_by_copy->applies(xid_)) return nullptr;
  return table;
}

void stream::touch(replicated_table& table, pgoutput::tuple values) {
  auto const& relation = *table.target->table();
  core_.reconciler.touched(relation.oid, encode::hash_key(values, relation.key));
}

result<void> stream::emit(replicated_table& table, operation kind, position at, pgoutput::tuple old_values,
                          pgoutput::tuple new_row) {
  // What is durable already was emitted by an earlier attempt; a chunk has to know of it all the same.
  if (at <= core_.recovered) return result<void>();
  table.target->copying = table.copying();
  auto added = core_.builder.add(*table.target, kind, at, commit_time_, old_values, new_row);
  if (!added) {
    auto failure = fail(std::move(added));
    if (failure.kind != severity::data) return failure;
    failure.where = at.commit;
    core_.stop_table(table, failure);
    return result<void>();
  }
  last_emitted_ = at;
  emitted_ = true;
  return result<void>();
}

result<void> stream::insert(pgoutput::insert const& message) {
  auto const at = core_.cursor.next_row();
  auto* const table = table_of(message.oid);
  if (table == nullptr) return result<void>();
  if (table->open_chunks > 0) touch(*table, message.new_row);
  if (!has_unchanged(message.new_row)) return emit(*table, operation::insert, at, {}, message.new_row);
  // An UPDATE that moved the row into a row filter. What it left unchanged out of line is not sent, though no
  // destination can have it: the row is read by its key.
  if (table->target->table()->key.empty()) {
    core_.stop_table(*table, copier::no_key_error(*table, "an UPDATE"));
    return result<void>();
  }
  copies_.want_row(*table, message.new_row, xid_);
  return emit(*table, operation::update, at, {}, message.new_row);
}

result<void> stream::update(pgoutput::update const& message) {
  auto const at = core_.cursor.next_row();
  auto* const table = table_of(message.oid);
  if (table == nullptr) return result<void>();
  auto const& key = table->target->table()->key;
  if (!can_find(*table, message.old_kind)) {
    core_.stop_table(*table, copier::no_key_error(*table, "an UPDATE"));
    return result<void>();
  }
  // The old row, where it came along, has what the new one leaves out: all of it under REPLICA IDENTITY FULL, and key
  // values that are stored out of line otherwise.
  pgoutput::tuple row = message.new_row;
  bool partial = has_unchanged(row);
  if (partial && message.old_kind != pgoutput::old_row::none) {
    completed_.assign(row.begin(), row.end());
    auto const fill = [&](std::size_t i) {
      if (completed_[i].kind == value_kind::unchanged) completed_[i] = message.old_values[i];
    };
    if (message.old_kind == pgoutput::old_row::full) {
      for (std::size_t i = 0; i < completed_.size(); ++i) fill(i);
    } else {
      for (auto const i : key) fill(i);
    }
    row = completed_;
    partial = has_unchanged(row);
  }
  bool const differs = message.old_kind != pgoutput::old_row::none && std::any_of(key.begin(), key.end(), [&](auto i) {
                         return !same_value(message.old_values[i], row[i]);
                       });
  bool const rekeyed = differs || key.empty();
  if (table->open_chunks > 0) {
    touch(*table, row);
    if (rekeyed) touch(*table, message.old_values);
  }
  // Values that were not sent are missing at the destination while the row has not been copied yet. This holds for a
  // change that is durable already, too: the attempt that delivered it may have ended before it had read the row.
  if (partial && table->copying()) copies_.want_row(*table, row, xid_);
  if (!rekeyed) return emit(*table, operation::update, at, {}, row);
  if (partial) return emit(*table, operation::rekey, at, message.old_values, row);
  if (auto removed = emit_removal(*table, at, message.old_values); !removed || table->stopped) return removed;
  return emit(*table, operation::insert, {at.commit, at.ordinal + 1}, {}, row);
}

result<void> stream::remove(pgoutput::remove const& message) {
  auto const at = core_.cursor.next_row();
  auto* const table = table_of(message.oid);
  if (table == nullptr) return result<void>();
  if (!can_find(*table, message.old_kind)) {
    core_.stop_table(*table, copier::no_key_error(*table, "a DELETE"));
    return result<void>();
  }
  if (table->open_chunks > 0) touch(*table, message.old_values);
  return emit_removal(*table, at, message.old_values);
}

bool stream::can_find(replicated_table const& table, pgoutput::old_row sent) const {
  return !table.target->table()->key.empty() ||
         (sent == pgoutput::old_row::full && core_.destination.what_it_can().finds_by_value);
}

result<void> stream::emit_removal(replicated_table& table, position at, pgoutput::tuple old_values) {
  if (!table.target->table()->key.empty() || !table.copying()) {
    return emit(table, operation::remove, at, old_values, {});
  }
  copies_.remove_later(table, commit_time_, old_values);
  return result<void>();
}

result<void> stream::truncate(pgoutput::truncate const& message) {
  auto const at = core_.cursor.next_row();
  if (at <= core_.recovered) return result<void>();
  model::truncation event;
  event.cascade = message.cascade;
  event.restart_identity = message.restart_identity;
  event.at = at;
  for (auto const oid : message.oids) {
    auto* const table = table_of(oid);
    if (table == nullptr) continue;
    event.tables.push_back(table->target->table());
    copies_.truncated(*table);
  }
  if (event.tables.empty()) return result<void>();
  core_.builder.add_truncation(std::move(event));
  last_emitted_ = at;
  emitted_ = true;
  return result<void>();
}

asio::awaitable<result<void>> stream::relation(pgoutput::relation const& message) {
  auto* table = core_.tables.find(message.oid);
  if (table == nullptr) {
    auto found = co_await copies_.discover(message.oid);
    if (!found) co_return fail(std::move(found));
    table = *found;
    if (table == nullptr) co_return result<void>();  // left out by source.tables
  }
  if (table->stopped) co_return result<void>();
  if (table->target && same_columns(*table->target->table(), message)) co_return result<void>();
  if (!table->target && same_columns(*table->facts.relation, message)) {
    table->target.emplace(table->facts.relation, copies_.encoder_for(table->facts.relation));
    core_.builder.close_segments();
    co_return result<void>();
  }
  auto const& known = table->target ? *table->target->table() : *table->facts.relation;
  auto schema = from_message(message, known);
  if (auto described = co_await describe(schema); !described) {
    auto failure = fail(std::move(described));
    if (failure.kind != severity::data) co_return failure;
    core_.stop_table(*table, failure);
    co_return result<void>();
  }
  co_return co_await adopt(*table, std::move(schema));
}

asio::awaitable<result<void>> stream::describe(model::relation& schema) {
  auto connection = co_await core_.metadata.take();
  if (!connection) co_return fail(std::move(connection));
  if (auto described = co_await catalog::describe_types(**connection, schema.columns); !described) co_return described;
  co_return co_await pg::define_types(**connection, std::array{&schema});
}

asio::awaitable<result<void>> stream::adopt(replicated_table& table, model::relation schema) {
  auto made = std::make_shared<model::relation const>(std::move(schema));
  log::info("table changed", {{"pipeline", core_.config().name}, {"table", table.name()}});
  // What was read under the old schema goes first.
  core_.drain_wanted = true;
  while (!core_.builder.empty() || core_.writing) {
    core_.writer_wake.notify();
    co_await core_.reader_wake.wait();
  }
  auto ensured = co_await core_.destination.ensure_table(made);
  core_.drain_wanted = false;
  core_.writer_wake.notify();
  if (!ensured) {
    auto failure = fail(std::move(ensured));
    if (failure.kind == severity::data) failure.table = made->oid;
    co_return failure;  // the attempt ends; a `data` failure stops the table in the next one
  }
  table.target.emplace(made, copies_.encoder_for(made));
  core_.builder.close_segments();
  co_return co_await copies_.schema_changed(table);
}

}  // namespace etl::pipeline
