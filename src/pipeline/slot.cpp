// The replication slot: whether it fits state and destination, and making it.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "pipeline/session.hpp"
#include "runtime/pause.hpp"
#include "runtime/task_group.hpp"

namespace etl::pipeline {

using std::chrono::milliseconds;

namespace {

// The reasons of pg_replication_slots.invalidation_reason (PostgreSQL 17, 18) with the setting that is behind each.
std::string_view invalidation(std::string_view reason) {
  if (reason.empty() || reason == "wal_removed") return "it removed WAL that was still needed (max_slot_wal_keep_size)";
  if (reason == "idle_timeout") return "nobody had used it for longer than idle_replication_slot_timeout";
  if (reason == "wal_level_insufficient") return "wal_level was below logical for a while";
  if (reason == "rows_removed") return "rows of the catalog that it needs were removed (hot_standby_feedback)";
  return reason;
}

}  // namespace

std::string session::begin_anew() const {
  return fmt::format(
      "Changes in between may be lost, so this is not skipped over. To copy everything again: drop the slot "
      "(SELECT pg_drop_replication_slot({});) where there is one, remove {} and empty the destination's tables and "
      "progress.",
      model::quote_literal(config().source.slot), config().state.sqlite_path);
}

// Whether slot, state and destination fit together. What does not fit is refused: going on would leave a gap.
result<void> session::check_progress(catalog::slot const* slot) const {
  auto const& name = config().source.slot;
  auto const& can = destination_->what_it_can();
  if (can.exactly_once && !can.positions_by_table && has_document_ && recovered_.durable < document_.delivered) {
    return error{
        severity::config, "destination.behind_state",
        fmt::format(
            "the destination holds rows up to {}, but {} had been confirmed to the source: it was restored or emptied",
            recovered_.durable.to_text(), document_.delivered.to_text()),
        begin_anew()};
  }
  if (recovered_.durable.commit > server_.insert || document_.confirmed > server_.insert) {
    return error{
        severity::config, "source.behind_destination",
        fmt::format(
            "the source's WAL ends at {}, before what was replicated already ({}): it was restored from a backup",
            server_.insert.to_text(), std::max(recovered_.durable.commit, document_.confirmed).to_text()),
        begin_anew()};
  }
  bool const has_history = has_document_ && document_.confirmed != lsn{};
  if (slot == nullptr) {
    if (has_history || recovered_.durable != position{}) {
      return error{severity::config, "slot.gone",
                   fmt::format("replication slot {} does not exist any more, but this pipeline has replicated up to {}",
                               name, std::max(recovered_.durable.commit, document_.confirmed).to_text()),
                   begin_anew()};
    }
    return result<void>();
  }
  if (slot->plugin != "pgoutput" || slot->database != server_.database) {
    return error{
        severity::config, "slot.foreign",
        fmt::format(
            "replication slot {} belongs to database {} and plugin {}; this pipeline needs database {} and pgoutput",
            name, slot->database, slot->plugin, server_.database),
        "Give the pipeline another slot name (source.slot)."};
  }
  if (slot->wal_status == "lost" || !slot->invalidation_reason.empty()) {
    return error{severity::config, "slot.invalidated",
                 fmt::format("replication slot {} was invalidated by the server: {}", name,
                             invalidation(slot->invalidation_reason)),
                 begin_anew()};
  }
  if (has_history && slot->confirmed_flush && *slot->confirmed_flush > document_.confirmed) {
    return error{
        severity::config, "slot.ahead_of_state",
        fmt::format(
            "replication slot {} stands at {}, but this pipeline had confirmed only {}: the slot was recreated or "
            "advanced by someone else",
            name, slot->confirmed_flush->to_text(), document_.confirmed.to_text()),
        begin_anew()};
  }
  return result<void>();
}

asio::awaitable<result<void>> session::prepare_slot(pg::connection& source) {
  auto const& name = config().source.slot;
  // A killed predecessor's walsender may hold the slot for a moment.
  for (int tries = 0;; ++tries) {
    auto found = co_await catalog::find_slot(source, name);
    if (!found) co_return fail(std::move(found));
    auto const* const slot = *found ? &**found : nullptr;
    if (auto fits = check_progress(slot); !fits) co_return fits;
    if (slot == nullptr) break;
    if (!slot->active && life_.slot_is_useless) {
      if (auto dropped = co_await drop_useless_slot(source); !dropped) co_return dropped;
      break;
    }
    if (!slot->active) {
      document_.confirmed = slot->confirmed_flush.value_or(lsn{});
      document_.slot = name;
      co_return result<void>();
    }
    if (tries == 50) {
      co_return error{
          life_.has_run ? severity::retry : severity::config, "slot.in_use",
          fmt::format("replication slot {} is in use by another process (walsender pid {})", name, slot->active_pid),
          "Another etl-stream runs this pipeline, or another program uses the slot: stop it, or set source.slot."};
    }
    co_await runtime::pause(milliseconds(200));
  }
  co_return co_await create_slot();
}

asio::awaitable<result<void>> session::name_those_in_the_way() {
  for (auto wait = milliseconds(3000);; wait = milliseconds(15'000)) {
    co_await runtime::pause(wait);  // cancelled when the slot is there
    auto watcher = co_await pg::connection::connect(source_access(false));
    if (!watcher) continue;
    auto waited_for = co_await catalog::transactions_in_the_way(**watcher);
    if (!waited_for) continue;
    for (auto const& one : *waited_for) {
      log::warning("the new slot waits for an open transaction to end",
                   {{"pipeline", config().name}, {"transaction", std::string_view(one)}});
    }
  }
}

asio::awaitable<result<void>> session::create_slot() {
  auto const& name = config().source.slot;
  auto const sql = fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput {}", model::quote_identifier(name),
                               server_.version < 150000        ? "NOEXPORT_SNAPSHOT"
                               : config().source.failover_slot ? "(SNAPSHOT 'nothing', FAILOVER true)"
                                                               : "(SNAPSHOT 'nothing')");
  runtime::task_group group(co_await asio::this_coro::executor);
  result<pg::rows> created = pg::rows();
  auto const create = [&]() -> asio::awaitable<result<void>> {
    created = co_await replication_->query(sql, "creating the replication slot");
    group.cancel();
    co_return result<void>();
  };
  group.spawn(create(), "slot creation");
  group.spawn(name_those_in_the_way(), "slot watcher");
  if (auto joined = co_await group.join(); !joined) co_return joined;
  if (!created) {
    auto failure = fail(std::move(created));
    if (failure.sqlstate == "53400") {
      failure.kind = severity::config;
      failure.code = "source.no_slot_left";
      failure.hint =
          "Every replication slot is in use: raise max_replication_slots (and restart the server), or drop one that "
          "SELECT * FROM pg_replication_slots shows as no longer needed.";
    }
    co_return failure;
  }
  auto const at = lsn::parse(created->text(0, 1));
  document_.confirmed = at.value_or(lsn{});
  document_.slot = name;
  document_.made_slot = true;
  log::info("replication slot created",
            {{"pipeline", config().name}, {"slot", name}, {"lsn", document_.confirmed.to_text()}});
  co_return result<void>();
}

asio::awaitable<result<void>> session::drop_useless_slot(pg::connection& source) {
  auto dropped = co_await source.query(
      fmt::format("SELECT pg_drop_replication_slot({})", model::quote_literal(config().source.slot)),
      "dropping the replication slot");
  if (!dropped) co_return fail(std::move(dropped));
  life_.slot_is_useless = false;
  document_.confirmed = lsn{};
  co_return co_await save_document();
}

// PostgreSQL builds a slot's first picture of the catalog while transactions run. One that gives a table another file
// (TRUNCATE, a rewrite) at that very time can be missing in it, and then the server can never decode the rows that
// others wrote to that file before the slot was complete. It shows in the first moments of a slot, or never.
error session::undecodable(error failure) {
  // "filenode" up to 15, "filenumber" from 16 on.
  if (failure.sqlstate != "XX000" || !failure.server_text.starts_with("could not map filen")) return failure;
  if (document_.made_slot && core_->delivered == position{}) {
    life_.slot_is_useless = true;
    failure.kind = severity::retry;
    failure.code = "slot.unlucky";
    failure.hint =
        "It was made while a table was truncated or rewritten, and nothing has come from it: it is made anew.";
    return failure;
  }
  failure.kind = severity::config;
  failure.code = "slot.undecodable";
  failure.hint = begin_anew();
  return failure;
}

}  // namespace etl::pipeline
