#include "cli/lag_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "cli/commands.hpp"
#include "cli/human.hpp"

namespace etl::cli {
namespace {

namespace json = boost::json;
using monitor::level;
using monitor::slot_state;

constexpr std::array titles = {"",     "slot",       "database", "plugin", "state",  "retained",
                               "lags", "wal status", "grows by", "left",   "spilled"};
using line = std::array<std::string, titles.size()>;

std::string_view name_of(level found) {
  return found == level::danger ? "danger" : found == level::warning ? "warning" : "ok";
}

std::string state_of(slot_state const& slot) {
  if (!slot.invalidation.empty()) return "lost: " + slot.invalidation;
  if (slot.active) return fmt::format("active, pid {}", slot.active_pid);
  return slot.inactive_since.empty() ? "inactive" : "inactive since " + slot.inactive_since.substr(0, 19);
}

std::string lag_of(slot_state const& slot) {
  if (!slot.lag) return "";
  auto text = human_bytes(static_cast<double>(*slot.lag));
  if (slot.lag_seconds) text += fmt::format(", {:.1f} s", *slot.lag_seconds);
  return text;
}

line cells(slot_state const& slot, bool ours) {
  line made;
  made[0] = ours ? "*" : "";
  made[1] = printable(slot.name);
  made[2] = printable(slot.database);
  made[3] = slot.plugin.empty() ? slot.type : printable(slot.plugin);
  made[4] = state_of(slot);
  made[5] = human_bytes(static_cast<double>(slot.retained));
  made[6] = lag_of(slot);
  made[7] = slot.wal_status;
  if (slot.growth) made[8] = *slot.growth > 0 ? human_bytes(*slot.growth) + "/s" : "0";
  if (slot.time_left) made[9] = human_time(*slot.time_left);
  if (slot.spilled && *slot.spilled > 0) made[10] = human_bytes(static_cast<double>(*slot.spilled));
  return made;
}

bool is_ours(lag_report const& report, slot_state const& slot) {
  return std::ranges::find(report.ours, slot.name) != report.ours.end();
}

template <class T>
json::value optional_value(std::optional<T> const& value) {
  return value ? json::value(*value) : json::value();
}

json::value text_or_null(std::string const& text) { return text.empty() ? json::value() : json::value(text); }

json::object to_json(slot_state const& slot, bool ours, level found) {
  return {{"slot", slot.name},
          {"ours", ours},
          {"level", name_of(found)},
          {"type", slot.type},
          {"database", text_or_null(slot.database)},
          {"plugin", text_or_null(slot.plugin)},
          {"temporary", slot.temporary},
          {"active", slot.active},
          {"active_pid", slot.active ? json::value(slot.active_pid) : json::value()},
          {"application_name", text_or_null(slot.application)},
          {"inactive_since", text_or_null(slot.inactive_since)},
          {"restart_lsn", slot.restart ? json::value(slot.restart->to_text()) : json::value()},
          {"confirmed_flush_lsn", slot.confirmed ? json::value(slot.confirmed->to_text()) : json::value()},
          {"retained_bytes", slot.retained},
          {"lag_bytes", optional_value(slot.lag)},
          {"lag_seconds", optional_value(slot.lag_seconds)},
          {"wal_status", text_or_null(slot.wal_status)},
          {"safe_wal_size", optional_value(slot.safe)},
          {"invalidation_reason", text_or_null(slot.invalidation)},
          {"spill_bytes", optional_value(slot.spilled)},
          {"spill_transactions", optional_value(slot.spilled_transactions)},
          {"growth_bytes_per_second", optional_value(slot.growth)},
          {"seconds_left", slot.time_left ? json::value(slot.time_left->count()) : json::value()}};
}

std::string table_of(lag_report const& report, monitor::thresholds const& limits, bool colours) {
  std::vector<line> lines(1);
  std::copy(titles.begin(), titles.end(), lines[0].begin());
  std::vector<level> levels{level::ok};
  for (auto const& slot : report.state->slots) {
    lines.push_back(cells(slot, is_ours(report, slot)));
    levels.push_back(level_of(slot, limits));
  }
  std::array<std::size_t, titles.size()> widths{};
  for (auto const& cell : lines) {
    for (std::size_t i = 0; i < cell.size(); ++i) widths[i] = std::max(widths[i], columns(cell[i]));
  }
  widths[0] = 1;
  // A column that no slot fills is left out.
  for (std::size_t i = 1; i < widths.size(); ++i) {
    bool const filled = std::any_of(lines.begin() + 1, lines.end(), [i](line const& l) { return !l[i].empty(); });
    if (!filled) widths[i] = 0;
  }
  std::string text;
  for (std::size_t row = 0; row < lines.size(); ++row) {
    std::string shown;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (widths[i] == 0) continue;
      shown += (i == 0 ? "" : i == 1 ? " " : "  ") + fitted(lines[row][i], widths[i]);
    }
    shown.erase(shown.find_last_not_of(' ') + 1);
    bool const alarming = colours && levels[row] != level::ok;
    text += fmt::format("{}{}{}\n", alarming ? levels[row] == level::danger ? "\x1b[31m" : "\x1b[33m" : "", shown,
                        alarming ? "\x1b[0m" : "");
  }
  return text;
}

}  // namespace

int lag_exit_code(std::vector<lag_report> const& reports, monitor::thresholds const& limits) {
  auto worst = level::ok;
  for (auto const& report : reports) {
    if (!report.state) return exit_unknown;
    for (auto const& slot : report.state->slots) worst = std::max(worst, level_of(slot, limits));
  }
  return static_cast<int>(worst);
}

std::string lag_text(std::vector<lag_report> const& reports, monitor::thresholds const& limits, bool colours) {
  std::string text;
  for (auto const& report : reports) {
    if (!text.empty()) text += '\n';
    text += printable(report.source) + ": ";
    if (!report.state) {
      text += report.failure->to_text() + '\n';
      continue;
    }
    auto const& state = *report.state;
    text +=
        fmt::format("PostgreSQL {}, WAL at {}, max_slot_wal_keep_size {}\n", state.version / 10000, state.end.to_text(),
                    state.keep ? human_bytes(static_cast<double>(*state.keep)) : "-1: slots may fill the disk");
    text += state.slots.empty() ? "no replication slots\n" : table_of(report, limits, colours);
  }
  return text;
}

std::string lag_json(std::vector<lag_report> const& reports, monitor::thresholds const& limits) {
  json::array servers;
  for (auto const& report : reports) {
    json::object server{{"source", report.source}};
    if (report.state) {
      json::array slots;
      for (auto const& slot : report.state->slots) {
        slots.push_back(to_json(slot, is_ours(report, slot), level_of(slot, limits)));
      }
      server["version"] = report.state->version;
      server["wal_lsn"] = report.state->end.to_text();
      server["max_slot_wal_keep_size"] = optional_value(report.state->keep);
      server["slots"] = std::move(slots);
    } else {
      server["error"] = json::object{{"code", std::string(report.failure->code)}, {"message", report.failure->message}};
    }
    servers.push_back(std::move(server));
  }
  auto const code = lag_exit_code(reports, limits);
  json::object all{{"status", code == exit_unknown ? "unknown" : std::string(name_of(static_cast<level>(code)))},
                   {"warning_bytes", limits.warning},
                   {"danger_bytes", limits.danger},
                   {"servers", std::move(servers)}};
  return json::serialize(all) + '\n';
}

}  // namespace etl::cli
