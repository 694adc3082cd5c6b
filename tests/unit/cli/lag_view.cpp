#include "cli/lag_view.hpp"

#include <catch2/catch.hpp>

using namespace etl;
using namespace etl::cli;
using Catch::Contains;

namespace {

constexpr monitor::thresholds limits{1'000'000, 2'000'000};

monitor::slot_state slot_of(std::int64_t retained) {
  monitor::slot_state slot;
  slot.name = "s";
  slot.type = "logical";
  slot.plugin = "pgoutput";
  slot.retained = retained;
  slot.wal_status = "reserved";
  slot.safe = 4'000'000;
  return slot;
}

std::vector<lag_report> report_of(monitor::slot_state slot) {
  monitor::server_state state;
  state.version = 150004;
  state.slots.push_back(std::move(slot));
  return {{.source = "shop", .ours = {"s"}, .state = std::move(state)}};
}

}  // namespace

TEST_CASE("the exit code is the worst slot's, and a server that is silent is worse") {
  CHECK(lag_exit_code(report_of(slot_of(999'999)), limits) == 0);
  CHECK(lag_exit_code(report_of(slot_of(1'000'000)), limits) == 1);
  CHECK(lag_exit_code(report_of(slot_of(2'000'000)), limits) == 2);
  auto unreserved = slot_of(0);
  unreserved.wal_status = "unreserved";
  CHECK(lag_exit_code(report_of(unreserved), limits) == 2);
  auto lost = slot_of(0);
  lost.invalidation = "wal_removed";
  CHECK(lag_exit_code(report_of(lost), limits) == 2);
  auto both = report_of(lost);
  both.push_back({.source = "away", .failure = error{severity::retry, "source.silent", "no answer"}});
  CHECK(lag_exit_code(both, limits) == 3);
}

TEST_CASE("two looks tell how fast it grows, and how long it may") {
  monitor::server_state before, now;
  before.slots.push_back(slot_of(1'000'000));
  now.slots.push_back(slot_of(1'500'000));
  compare(before, now, std::chrono::milliseconds(500));
  CHECK(now.slots[0].growth == 1e6);
  CHECK(now.slots[0].time_left == std::chrono::seconds(4));
  compare(now, before, std::chrono::seconds(1));
  CHECK(before.slots[0].growth < 0);
  CHECK_FALSE(before.slots[0].time_left);
}

TEST_CASE("a name cannot command the terminal, and only what alarms has a colour") {
  auto odd = slot_of(1'000'000);
  odd.database = "\x1b[2J";
  CHECK_THAT(lag_text(report_of(odd), limits, false), !Contains("\x1b") && Contains("* s"));
  CHECK_THAT(lag_text(report_of(odd), limits, true), Contains("\x1b[33m"));
  CHECK_THAT(lag_text(report_of(slot_of(0)), limits, true), !Contains("\x1b"));
}
