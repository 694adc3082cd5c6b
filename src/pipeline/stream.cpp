#include "pipeline/stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>
#include <utility>

#include "base/log.hpp"
#include "destination/postgres/transferable.hpp"
#include "encode/key.hpp"
#include "pg/type_definitions.hpp"
#include "pipeline/copier.hpp"
#include "pipeline/schema_change.hpp"
#include "replication/reconciler.hpp"

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
        if (schema != nullptr) told_[schema->oid] = wal.payload;
        auto handled = schema != nullptr        ? co_await relation(*schema)
                       : lacks_schema(decoded_) ? co_await handle_told_before(decoded_)
                                                : handle(decoded_);
        if (!handled) {
          auto failure = fail(std::move(handled));
          if (failure.where == lsn{}) failure.where = lsn{wal.start};
          co_return failure;
        }
      }
      if (!core_.seen.empty() && !core_.cursor.in_transaction() && core_.received != looked_at_) {
        if (auto applied = co_await apply_seen(); !applied) co_return applied;
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
  if (table == nullptr || table->stopped || table->gone) return nullptr;
  if (table->leaves_to_copy(core_.cursor.commit_lsn(), xid_)) return nullptr;
  if (!table->target) throw std::logic_error("a row arrived before its Relation message");
  if (table->seen_by_copy && !table->seen_by_copy->applies(xid_)) return nullptr;
  return table;
}

bool stream::lacks_schema(pgoutput::message const& message) {
  auto const lacks = [this](std::uint32_t oid) {
    auto* const table = core_.tables.find(oid);
    return table != nullptr && !table->target && !table->stopped && !table->gone &&
           !table->leaves_to_copy(core_.cursor.commit_lsn(), xid_);
  };
  if (auto const* m = std::get_if<pgoutput::insert>(&message)) return lacks(m->oid);
  if (auto const* m = std::get_if<pgoutput::update>(&message)) return lacks(m->oid);
  if (auto const* m = std::get_if<pgoutput::remove>(&message)) return lacks(m->oid);
  if (auto const* m = std::get_if<pgoutput::truncate>(&message)) return std::ranges::any_of(m->oids, lacks);
  return false;
}

// The server says once what a table's rows look like, which may have been before the table was one of ours, or with
// rows that were the copy's.
asio::awaitable<result<void>> stream::handle_told_before(pgoutput::message const& message) {
  std::vector<std::uint32_t> oids;
  if (auto const* m = std::get_if<pgoutput::insert>(&message)) oids.push_back(m->oid);
  if (auto const* m = std::get_if<pgoutput::update>(&message)) oids.push_back(m->oid);
  if (auto const* m = std::get_if<pgoutput::remove>(&message)) oids.push_back(m->oid);
  if (auto const* m = std::get_if<pgoutput::truncate>(&message)) oids.assign(m->oids.begin(), m->oids.end());
  for (auto const oid : oids) {
    auto const told = told_.find(oid);
    auto* const table = core_.tables.find(oid);
    if (told == told_.end() || table == nullptr || table->target) continue;
    pgoutput::decoder decoder;  // the other one holds on to the row
    pgoutput::message again;
    if (auto failed = decoder.decode(told->second, again)) co_return protocol_error(*failed);
    if (auto known = co_await relation(std::get<pgoutput::relation>(again)); !known) co_return known;
  }
  co_return handle(message);
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

void stream::follow(replicated_table& table) {
  auto const& schema = table.schema.relation;
  if (table.target && table.target->table() == schema) return;
  table.target.emplace(schema, copies_.encoder_for(schema));
  core_.builder.close_segments();
}

asio::awaitable<result<void>> stream::relation(pgoutput::relation const& message) {
  auto* table = core_.tables.find(message.oid);
  if (table == nullptr || table->gone) {
    auto found = co_await discover(message.oid);
    if (!found) co_return fail(std::move(found));
    table = *found;
    if (table == nullptr) co_return result<void>();  // left out by source.tables
  }
  auto const commit = core_.cursor.commit_lsn();
  if (table->stopped || table->leaves_to_copy(commit, xid_)) co_return result<void>();
  // What the destination has already it has with every change up to there.
  bool const delivered = core_.cursor.upcoming() <= core_.recovered;
  bool const looked = commit < table->latest.seen && matches(*table->latest.relation, message);
  auto const& known = *table->schema.relation;
  if (matches(known, message) && (delivered || looked)) {
    follow(*table);
    co_return result<void>();
  }
  bool seen = true;
  if (!delivered && !looked) {
    auto found = co_await look_up(message);
    if (!found) {
      auto failure = fail(std::move(found));
      if (!is_locked(failure) || !matches(known, message)) co_return failure;
      follow(*table);
      co_return result<void>();
    }
    seen = found->has_value();
    if (seen) table->latest = std::move(**found);
  }
  auto next = from_message(message, known, seen ? table->latest.relation.get() : nullptr);
  if (auto described = co_await describe(next.relation); !described) {
    auto failure = fail(std::move(described));
    if (failure.kind != severity::data) co_return failure;
    failure.table = message.oid;
    core_.stop_table(*table, failure);
    co_return result<void>();
  }
  if (delivered) {
    auto const older = std::make_shared<model::relation const>(std::move(next.relation));
    table->target.emplace(older, copies_.encoder_for(older));
    core_.builder.close_segments();
    co_return result<void>();
  }
  bool const moved = seen && !next.ahead && rewritten(table->schema, next.relation, heaps_of(table->latest));
  if (same_schema(known, next.relation) && next.certain && !moved) {
    follow(*table);
    co_return result<void>();
  }
  co_return co_await adopt(*table, std::move(next), seen);
}

asio::awaitable<result<std::optional<catalog::table>>> stream::look_up(pgoutput::relation const& message) {
  auto connection = co_await core_.metadata.take();
  if (!connection) co_return fail(std::move(connection));
  for (bool waited = false;; waited = true) {
    auto found = co_await catalog::published_table(**connection, core_.publications, message.oid);
    if (!found || waited || (*found && matches(*(*found)->relation, message))) co_return found;
    // The catalog is ahead of the message; or behind, since a transaction comes by before it is visible.
    if (auto settled = co_await catalog::wait_for_changes(**connection, message.oid); !settled)
      co_return fail(std::move(settled));
  }
}

asio::awaitable<result<void>> stream::describe(model::relation& schema) {
  auto connection = co_await core_.metadata.take();
  if (!connection) co_return fail(std::move(connection));
  if (auto described = co_await catalog::describe_types(**connection, schema.columns); !described) co_return described;
  co_return co_await pg::define_types(**connection, std::array{&schema});
}

// What was read so far goes to the destination.
asio::awaitable<result<void>> stream::drain() {
  core_.drain_wanted = true;
  while (!core_.builder.empty() || core_.writing) {
    core_.writer_wake.notify();
    co_await core_.reader_wake.wait();
  }
  co_return result<void>();
}

asio::awaitable<result<std::optional<catalog::table>>> stream::published(std::uint32_t oid) {
  auto connection = co_await core_.metadata.take();
  if (!connection) co_return fail(std::move(connection));
  co_return co_await catalog::published_table(**connection, core_.publications, oid);
}

asio::awaitable<result<replicated_table*>> stream::discover(std::uint32_t oid) {
  auto facts = co_await published(oid);
  if (!facts) co_return fail(std::move(facts));
  if (!*facts) co_return nullptr;
  auto const& relation = *(*facts)->relation;
  if (!core_.config().source.tables.matches(relation.schema, relation.name)) co_return nullptr;
  if (auto* const other = holder_of_name(oid, relation.schema, relation.name); other != nullptr) {
    auto its = co_await published(other->schema.relation->oid);
    if (!its) co_return fail(std::move(its));
    // One that was dropped gives its place to the new one.
    if (*its) {
      if (auto moved = co_await move_aside(*other); !moved) co_return fail(std::move(moved));
    }
  }
  co_return co_await copies_.discover(oid);
}

replicated_table* stream::holder_of_name(std::uint32_t oid, std::string_view schema, std::string_view name) {
  replicated_table* other = nullptr;
  if (!core_.destination.what_it_can().renames) return other;
  core_.tables.each([&](replicated_table& one) {
    auto const& its = *one.schema.relation;
    if (its.oid != oid && its.schema == schema && its.name == name && !one.stopped) other = &one;
  });
  return other;
}

asio::awaitable<result<void>> stream::move_aside(replicated_table& table) {
  next_schema aside{*table.schema.relation};
  aside.relation.name = aside.relation.name.substr(0, 40) + fmt::format("_etl_stream_{}", aside.relation.oid);
  ++aside.relation.version;
  co_return co_await adopt(table, std::move(aside), false);
}

asio::awaitable<result<void>> stream::adopt(replicated_table& table, next_schema next, bool seen) {
  auto const can = core_.destination.what_it_can();
  auto const before = table.schema.relation;
  bool const renamed = before->schema != next.relation.schema || before->name != next.relation.name;
  log::info("table changed", {{"pipeline", core_.config().name}, {"table", table.name()}});
  if (core_.destination.wants() == destination::encoding::copy_binary &&
      !destination::binary_transferable(next.relation)) {
    core_.life.only_text = true;
    co_return error{
        severity::retry, "source.needs_text",
        fmt::format("table {} cannot be streamed in binary form any more; going on in text form", table.name())};
  }
  if (renamed) {
    auto* const other = holder_of_name(next.relation.oid, next.relation.schema, next.relation.name);
    if (other != nullptr) {
      if (auto moved = co_await move_aside(*other); !moved) co_return moved;
    }
  }
  known_schema schema;
  schema.gone = table.gone;
  schema.copied_from = table.schema.copied_from;
  schema.copied_snapshot = table.schema.copied_snapshot;
  schema.heaps = seen && !next.ahead ? heaps_of(table.latest) : table.schema.heaps;
  schema.former = former_names(table.schema, next.relation);
  bool const new_key = key_is_new(*before, next.relation);
  // Rows that are wanted by their keys cannot be found by another one.
  bool const other_key = !model::same_key(*before, next.relation);
  bool const again = !next.certain || new_key || (other_key && table.copying()) ||
                     rewritten(table.schema, next.relation, schema.heaps) || reuses_name(table.schema, next.relation) ||
                     (!can.fills_columns && fills(*before, next.relation)) ||
                     (!can.renames && renames(*before, next.relation));
  schema.relation = std::make_shared<model::relation const>(std::move(next.relation));

  if (auto drained = co_await drain(); !drained) co_return drained;
  destination::table_change change(schema.relation);
  change.before = before;
  change.copied_again = (again || table.copying()) && seen;
  change.documents = [&](bool stale) {
    auto const how = !seen || !(again || stale) ? home::copied::as_before
                     : new_key                  ? home::copied::afresh
                                                : home::copied::again;
    return home::documents_of(schema, how);
  };
  auto ensured = co_await core_.destination.ensure_table(change);
  core_.drain_wanted = false;
  core_.writer_wake.notify();
  if (!ensured) {
    auto failure = fail(std::move(ensured));
    if (failure.kind == severity::data) failure.table = schema.relation->oid;
    co_return failure;  // the attempt ends; a `data` failure stops the table in the next one
  }
  for (auto& document : change.documents(ensured->stale)) core_.builder.add_document(std::move(document));
  table.schema = std::move(schema);
  follow(table);
  auto const& config = core_.config();
  if (renamed && seen && !config.source.tables.matches(table.schema.relation->schema, table.schema.relation->name)) {
    copies_.end(table);
    core_.leave_table(table, "the table's new name is not among source.tables: it is no longer replicated");
    co_return result<void>();
  }
  // A table that is gone has nothing to be read again.
  if (!seen || !(again || ensured->stale)) co_return co_await copies_.schema_changed(table);
  if (config.copy.mode == config::copy_mode::never) {
    error failure{severity::data, "table.needs_copy",
                  fmt::format("{} was changed at the source in a way that changed rows which the stream does not bring",
                              table.name())};
    failure.hint = "Set copy.mode to \"when_new\" to have it copied again at the next start.";
    failure.table = table.schema.relation->oid;
    core_.stop_table(table, failure);
    co_return result<void>();
  }
  log::info("its rows are copied again", {{"pipeline", config.name}, {"table", table.name()}});
  co_return co_await copies_.copy_again(table, new_key);
}

asio::awaitable<result<void>> stream::apply_seen() {
  looked_at_ = core_.received;
  if (!core_.caught_up()) co_return result<void>();
  auto waiting = std::exchange(core_.seen, {});
  for (auto& change : waiting) {
    if (core_.received < replication::fence_of(change.high, core_.server.block_size, core_.server.segment_size)) {
      core_.saw(std::move(change));
      continue;
    }
    auto* const table = core_.tables.find(change.oid);
    if (table == nullptr || table->gone) {
      if (!change.facts) continue;
      auto found = co_await discover(change.oid);
      if (!found) co_return fail(std::move(found));
      continue;
    }
    if (table->stopped || table->schema.relation != change.known) continue;
    if (!change.facts) {
      copies_.end(*table);
      core_.leave_table(*table,
                        "the table was dropped at the source or left the publication: it is replicated no more");
      continue;
    }
    table->latest = std::move(*change.facts);
    next_schema next{*table->latest.relation, true};
    next.relation.version = change.known->version + 1;
    if (auto adopted = co_await adopt(*table, std::move(next), true); !adopted) co_return adopted;
  }
  co_return result<void>();
}

}  // namespace etl::pipeline
