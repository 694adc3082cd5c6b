#include "monitor/slots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace etl::monitor {
namespace {

std::optional<std::int64_t> integer_at(pg::rows const& rows, std::size_t row, std::size_t column) {
  if (rows.is_null(row, column)) return std::nullopt;
  return rows.integer(row, column);
}

std::optional<double> number_at(pg::rows const& rows, std::size_t row, std::size_t column) {
  auto const text = rows.text(row, column);
  double value = 0;
  auto const [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || text.empty()) return std::nullopt;
  return value;
}

std::string slots_sql(int version) {
  auto const invalidation = version >= 170000   ? "coalesce(s.invalidation_reason, '')"
                            : version >= 160000 ? "CASE WHEN s.conflicting THEN 'conflict with recovery' ELSE '' END"
                                                : "''";
  auto const since = version >= 170000 ? "s.inactive_since" : "NULL::timestamptz";
  // The walsender's own measure is NULL once the other side has caught up.
  return fmt::format(
      "SELECT s.slot_name, s.slot_type, coalesce(s.plugin, ''), coalesce(s.database, ''), s.temporary, s.active, "
      "  coalesce(s.active_pid, 0), coalesce(r.application_name, ''), coalesce({1}::text, ''), s.restart_lsn, "
      "  s.confirmed_flush_lsn, coalesce(here.lsn - s.restart_lsn, 0)::bigint, "
      "  (here.lsn - s.confirmed_flush_lsn)::bigint, "
      "  CASE WHEN s.active THEN coalesce(extract(epoch FROM r.flush_lag), "
      "         CASE WHEN here.lsn - s.confirmed_flush_lsn < 65536 THEN 0 END) "
      "       ELSE extract(epoch FROM now() - {1}) END, "
      "  coalesce(s.wal_status, ''), s.safe_wal_size, {0}, t.spill_bytes, t.spill_txns "
      "FROM pg_replication_slots s "
      "CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END) "
      "  AS here(lsn) "
      "LEFT JOIN pg_stat_replication_slots t ON t.slot_name = s.slot_name "
      "LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid "
      "ORDER BY s.slot_name",
      invalidation, since);
}

}  // namespace

asio::awaitable<result<server_state>> read_slots(pg::connection& source) {
  server_state found;
  found.version = source.server_version();
  auto server = co_await source.query(
      "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, "
      "(SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size')",
      "reading the server's settings");
  if (!server) co_return fail(std::move(server));
  found.end = lsn::parse(server->text(0, 0)).value_or(lsn{});
  if (auto const megabytes = server->integer(0, 1); megabytes >= 0) found.keep = megabytes << 20;

  auto slots = co_await source.query(slots_sql(found.version), "reading the replication slots");
  if (!slots) co_return fail(std::move(slots));
  for (std::size_t row = 0; row < slots->size(); ++row) {
    slot_state slot;
    slot.name = slots->text(row, 0);
    slot.type = slots->text(row, 1);
    slot.plugin = slots->text(row, 2);
    slot.database = slots->text(row, 3);
    slot.temporary = slots->flag(row, 4);
    slot.active = slots->flag(row, 5);
    slot.active_pid = static_cast<int>(slots->integer(row, 6));
    slot.application = slots->text(row, 7);
    slot.inactive_since = slots->text(row, 8);
    slot.restart = lsn::parse(slots->text(row, 9));
    slot.confirmed = lsn::parse(slots->text(row, 10));
    slot.retained = std::max<std::int64_t>(slots->integer(row, 11), 0);
    if ((slot.lag = integer_at(*slots, row, 12))) slot.lag = std::max<std::int64_t>(*slot.lag, 0);
    slot.lag_seconds = number_at(*slots, row, 13);
    slot.wal_status = slots->text(row, 14);
    slot.safe = integer_at(*slots, row, 15);
    slot.invalidation = slots->text(row, 16);
    if (slot.wal_status == "lost" && slot.invalidation.empty()) slot.invalidation = "wal_removed";
    slot.spilled = integer_at(*slots, row, 17);
    slot.spilled_transactions = integer_at(*slots, row, 18);
    found.slots.push_back(std::move(slot));
  }
  co_return found;
}

void compare(server_state const& before, server_state& now, std::chrono::duration<double> between) {
  for (auto& slot : now.slots) {
    auto const earlier =
        std::find_if(before.slots.begin(), before.slots.end(), [&](auto const& s) { return s.name == slot.name; });
    if (earlier == before.slots.end() || between.count() <= 0) continue;
    slot.growth = static_cast<double>(slot.retained - earlier->retained) / between.count();
    if (slot.safe && *slot.safe > 0 && *slot.growth > 0) {
      slot.time_left = std::chrono::seconds(static_cast<std::int64_t>(static_cast<double>(*slot.safe) / *slot.growth));
    }
  }
}

level level_of(slot_state const& slot, thresholds const& limits) {
  if (!slot.invalidation.empty() || slot.wal_status == "unreserved") return level::danger;
  if (slot.retained >= limits.danger) return level::danger;
  return slot.retained >= limits.warning ? level::warning : level::ok;
}

}  // namespace etl::monitor
