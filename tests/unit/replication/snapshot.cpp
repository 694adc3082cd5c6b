#include "replication/snapshot.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

using etl::replication::snapshot;

TEST_CASE("the text of pg_current_snapshot() is read") {
  struct {
    std::string_view text;
    std::uint64_t xmin, xmax;
    std::vector<std::uint64_t> running;
  } const cases[] = {
      {"795:799:795,797", 795, 799, {795, 797}},
      {"10:10:", 10, 10, {}},
      {"10:20:15", 10, 20, {15}},
      {"4294967290:4294967301:4294967290,4294967300", 4294967290, 4294967301, {4294967290, 4294967300}},
  };
  for (auto const& c : cases) {
    CAPTURE(c.text);
    auto const parsed = snapshot::parse(c.text);
    REQUIRE(parsed);
    CHECK(parsed->xmin == c.xmin);
    CHECK(parsed->xmax == c.xmax);
    CHECK(parsed->running == c.running);
  }
}

TEST_CASE("what is no snapshot is not read as one") {
  for (std::string_view const text :
       {"", ":", "::", "1", "1:", "1:2", "1:2:3:", "2:1:", "1:5:2,", "1:5:,2", "1:5:3,2", "1:5:2,2", "5:9:4", "5:9:9",
        " 1:2:", "1:2: ", "-1:2:", "1:x:", "99999999999999999999:1:"}) {
    CAPTURE(text);
    CHECK_FALSE(snapshot::parse(text));
  }
}

TEST_CASE("a snapshot sees what had ended, modulo 2^32") {
  std::uint64_t const epoch = 0x7'00000000;
  snapshot const plain{10, 20, {10, 15}};
  snapshot const later_epoch{epoch + 10, epoch + 20, {epoch + 10, epoch + 15}};
  snapshot const across{epoch - 5, epoch + 5, {epoch - 5, epoch + 2}};
  struct {
    snapshot const& taken;
    std::uint32_t xid;
    bool listed, seen;
  } const cases[] = {
      {plain, 9, false, true},
      {plain, 10, true, false},
      {plain, 14, false, true},
      {plain, 15, true, false},
      {plain, 19, false, true},
      {plain, 20, false, false},  // begun later, or done with everything but becoming visible
      {plain, 1000, false, false},
      {later_epoch, 9, false, true},
      {later_epoch, 15, true, false},
      {later_epoch, 20, false, false},
      {later_epoch, 0xFFFFFFF0, false, true},
      {across, 0xFFFFFFFA, false, true},
      {across, 0xFFFFFFFB, true, false},
      {across, 1, false, true},
      {across, 2, true, false},
      {across, 5, false, false},
      {across, 0x70000000, false, false},
      {across, 0x90000000, false, true},
  };
  for (auto const& c : cases) {
    CAPTURE(c.taken.xmax, c.xid);
    CHECK(c.taken.lists_running(c.xid) == c.listed);
    CHECK(c.taken.sees(c.xid) == c.seen);
  }
}

TEST_CASE("the later one of two snapshots sees all that the earlier one saw") {
  struct {
    snapshot later, earlier;
    bool both_ways;
  } const cases[] = {
      {{10, 20, {10, 15}}, {10, 20, {10, 15}}, true},      {{15, 20, {15}}, {10, 20, {10, 15}}, false},
      {{10, 25, {10, 15, 22}}, {10, 20, {10, 15}}, false}, {{30, 30, {}}, {10, 20, {10, 15}}, false},
      {{20, 30, {20, 25}}, {10, 20, {}}, false},           {{10, 21, {10}}, {10, 20, {10}}, false},
  };
  for (auto const& c : cases) {
    CAPTURE(c.later.xmax, c.earlier.xmax);
    CHECK(c.later.includes(c.earlier));
    CHECK(c.earlier.includes(c.later) == c.both_ways);
  }
}
