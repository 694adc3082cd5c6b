#include "replication/reconciler.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>

using etl::lsn;
using etl::model::key_hash;
using etl::replication::fence_of;
using etl::replication::reconciler;
using etl::replication::snapshot;
using etl::replication::verdict;

namespace {

constexpr std::uint32_t table = 16400, other_table = 16500;

key_hash key(std::uint64_t n) { return {n * 0x9E3779B97F4A7C15, n}; }

void transaction(reconciler& r, std::uint32_t xid, std::uint64_t end, std::initializer_list<std::uint64_t> keys = {}) {
  r.begin_transaction(xid);
  for (auto const k : keys) r.touched(table, key(k));
  r.commit(lsn{end});
}

}  // namespace

TEST_CASE("a fence lies where an idle server's stream comes by") {
  constexpr std::uint64_t block = 8192, segment = 16 << 20;
  struct {
    std::uint64_t high, fence;
  } const cases[] = {
      {3 * block + 24, 3 * block},
      {3 * block + 40, 3 * block + 40},
      {3 * block + 32, 3 * block + 32},
      {3 * block, 3 * block},
      {5 * segment + 40, 5 * segment},
      {5 * segment + 24, 5 * segment + 24},
      {5 * segment + block + 24, 5 * segment + block},
      {5 * segment + block + 40, 5 * segment + block + 40},
      {0x16B374D848, 0x16B374D848},
  };
  for (auto const& c : cases) {
    CAPTURE(c.high);
    CHECK(fence_of(lsn{c.high}, block, segment) == lsn{c.fence});
  }
}

TEST_CASE("a chunk is ready between transactions, once the stream has passed its fence") {
  reconciler r;
  transaction(r, 10, 100);
  auto const chunk = r.open(table);
  CHECK(r.next_ready() == std::nullopt);
  REQUIRE(r.snapshot_taken(chunk, {11, 11, {}}) == verdict::ok);
  CHECK(r.next_ready() == std::nullopt);
  r.loaded(chunk, lsn{200});
  CHECK(r.next_ready() == std::nullopt);
  r.begin_transaction(11);
  r.commit(lsn{190});
  CHECK(r.next_ready() == std::nullopt);
  r.begin_transaction(12);
  CHECK(r.next_ready() == std::nullopt);
  r.commit(lsn{200});
  CHECK(r.next_ready() == chunk);
  r.begin_transaction(13);
  CHECK(r.next_ready() == std::nullopt);
  r.commit(lsn{260});
  CHECK(r.next_ready() == chunk);
  r.closed(chunk);
  CHECK(r.next_ready() == std::nullopt);
  CHECK(r.open_chunks() == 0);
}

TEST_CASE("a keepalive passes a fence as well, and the first of several chunks goes first") {
  reconciler r;
  auto const a = r.open(table);
  auto const b = r.open(other_table);
  r.loaded(b, lsn{50});
  r.loaded(a, lsn{70});
  r.stream_position(lsn{60});
  CHECK(r.next_ready() == b);
  r.stream_position(lsn{70});
  CHECK(r.next_ready() == a);
  r.stream_position(lsn{65});
  CHECK(r.next_ready() == a);
}

TEST_CASE("rows that the stream has brought since the chunk was opened are left out") {
  reconciler r;
  transaction(r, 10, 100, {1});
  auto const first = r.open(table);
  transaction(r, 11, 200, {2});
  auto const second = r.open(table);
  auto const elsewhere = r.open(other_table);
  transaction(r, 12, 300, {3});
  struct {
    std::uint64_t chunk, key;
    bool keep;
  } const cases[] = {
      {first, 1, true},   {first, 2, false}, {first, 3, false},    {first, 4, true},     {second, 2, true},
      {second, 3, false}, {second, 1, true}, {elsewhere, 2, true}, {elsewhere, 3, true},
  };
  for (auto const& c : cases) {
    CAPTURE(c.chunk, c.key);
    CHECK(r.keep(c.chunk, key(c.key)) == c.keep);
  }
}

TEST_CASE("a snapshot has to see what was emitted before the chunk was opened, and only that") {
  struct {
    char const* what;
    snapshot taken;
    verdict expected;
  } const cases[] = {
      {"sees all", {13, 13, {}}, verdict::ok},
      {"misses one emitted before", {10, 11, {10}}, verdict::take_another},
      {"misses one above all that have ended", {9, 10, {9}}, verdict::take_another},
      {"misses one whose end was not yet sent", {11, 12, {11}}, verdict::take_another},
      {"misses one emitted after", {12, 13, {12}}, verdict::ok},
      {"misses one never emitted", {5, 13, {5}}, verdict::ok},
  };
  for (auto const& c : cases) {
    CAPTURE(c.what);
    reconciler r;
    transaction(r, 10, 100);
    r.begin_transaction(11);
    auto const chunk = r.open(table);
    r.commit(lsn{200});
    transaction(r, 12, 300);
    CHECK(r.snapshot_taken(chunk, c.taken) == c.expected);
    if (c.expected == verdict::ok) continue;
    CHECK(r.snapshot_taken(chunk, c.taken) == c.expected);
    CHECK(r.snapshot_taken(chunk, {12, 13, {12}}) == verdict::ok);
    // For a chunk that is opened now, that one came before.
    auto const next = r.open(table);
    CHECK(r.snapshot_taken(next, {12, 13, {12}}) == verdict::take_another);
    CHECK(r.snapshot_taken(next, {13, 13, {}}) == verdict::ok);
  }
}

TEST_CASE("a snapshot older than one that was judged before is refused") {
  reconciler r;
  transaction(r, 10, 100);
  auto const a = r.open(table);
  auto const b = r.open(table);
  // b's was taken before a's, and does not see transaction 10, which a's verdict has let the reconciler forget.
  REQUIRE(r.snapshot_taken(a, {2000, 2000, {}}) == verdict::ok);
  CHECK(r.snapshot_taken(b, {10, 12, {10}}) == verdict::take_another);
  CHECK(r.snapshot_taken(b, {2000, 2000, {}}) == verdict::ok);
}

TEST_CASE("where commits may wait, the transactions that ran at the start have to end first") {
  reconciler r;
  r.recording_began({10, 20, {10, 15}}, 23);
  auto const chunk = r.open(table);
  transaction(r, 30, 100, {1});
  struct {
    snapshot taken;
    verdict expected;
  } const steps[] = {
      {{10, 20, {10, 15}}, verdict::wait_for_older},
      {{15, 31, {15}}, verdict::wait_for_older},
      {{16, 22, {}}, verdict::wait_for_older},  // 22 was given out, and has not ended
      {{16, 31, {22}}, verdict::wait_for_older},
      {{16, 40, {25, 30}}, verdict::take_another},  // 30 was emitted before the last refusal
      {{16, 41, {25}}, verdict::ok},
  };
  for (auto const& step : steps) {
    CAPTURE(step.taken.xmax);
    CHECK(r.snapshot_taken(chunk, step.taken) == step.expected);
  }
  CHECK(r.keep(chunk, key(1)));  // touched before the last refusal, so every later snapshot sees it
  transaction(r, 41, 200, {1});
  CHECK_FALSE(r.keep(chunk, key(1)));
}

TEST_CASE("a truncate makes the open chunks of its table void") {
  reconciler r;
  auto const a = r.open(table);
  auto const b = r.open(other_table);
  r.loaded(a, lsn{10});
  r.loaded(b, lsn{10});
  r.begin_transaction(5);
  r.truncated(table);
  r.commit(lsn{20});
  CHECK(r.is_void(a));
  CHECK_FALSE(r.is_void(b));
  CHECK_FALSE(r.keep(a, key(1)));
  CHECK(r.next_ready() == b);
  auto const later = r.open(table);
  CHECK_FALSE(r.is_void(later));
  r.abandon(a);
  r.closed(b);
  CHECK(r.next_ready() == std::nullopt);
  CHECK_THROWS_AS(r.is_void(a), std::out_of_range);
  CHECK_THROWS_AS(r.closed(a), std::out_of_range);
}

TEST_CASE("keys are remembered while a chunk of the table is open, and no more of them than needed") {
  reconciler r;
  transaction(r, 1, 10, {1, 2});
  CHECK(r.remembered_keys() == 0);
  auto open = r.open(table);
  transaction(r, 2, 20, {1, 2, 1});
  CHECK(r.remembered_keys() == 2);
  r.touched(other_table, key(1));
  CHECK(r.remembered_keys() == 2);
  // Some chunk is open at any time, as with several workers.
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    r.touched(table, key(100 + i));
    if (i % 100 == 0) {
      auto const next = r.open(table);
      r.closed(open);
      open = next;
      REQUIRE(r.remembered_keys() < 3000);
    }
  }
  CHECK_FALSE(r.keep(open, key(100 + 199'999)));
  r.closed(open);
  CHECK(r.remembered_keys() == 0);
}

TEST_CASE("a clean-up keeps every key that an open chunk needs") {
  reconciler r;
  auto const older = r.open(table);
  r.touched(table, key(1));
  auto const chunk = r.open(table);
  r.touched(table, key(2));
  for (std::uint64_t i = 0; i < 5000; ++i) r.touched(table, key(10 + i));
  r.closed(older);
  CHECK(r.remembered_keys() == 5001);
  CHECK(r.keep(chunk, key(1)));
  CHECK_FALSE(r.keep(chunk, key(2)));
}

TEST_CASE("recording can rest while nothing is copied") {
  reconciler r;
  auto const chunk = r.open(table);
  CHECK_THROWS_AS(r.stop_recording(), std::logic_error);
  r.abandon(chunk);
  r.stop_recording();
  transaction(r, 10, 100);
  CHECK_THROWS_AS(r.open(table), std::logic_error);
  r.start_recording();
  transaction(r, 11, 200);
  auto const later = r.open(table);
  CHECK(r.snapshot_taken(later, {10, 12, {10, 11}}) == verdict::take_another);
  CHECK(r.snapshot_taken(later, {10, 12, {10}}) == verdict::ok);
}
