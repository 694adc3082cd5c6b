#include "replication/emitted_transactions.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

using etl::replication::emitted_transactions;
using etl::replication::snapshot;

TEST_CASE("a snapshot that misses an emitted transaction is told from one that does not") {
  std::uint64_t const epoch = 0x3'00000000;
  struct {
    std::vector<std::uint32_t> emitted;
    snapshot taken;
    bool unseen;
  } const cases[] = {
      {{}, {10, 20, {10}}, false},
      {{12, 14}, {10, 20, {10}}, false},
      {{12, 14}, {10, 20, {10, 14}}, true},
      {{19}, {10, 20, {10}}, false},
      {{20}, {10, 20, {10}}, true},   // above the last that had ended: in no list
      {{600}, {10, 20, {10}}, true},  // in another block
      {{511}, {512, 512, {}}, false},
      {{512}, {512, 512, {}}, true},
      {{0xFFFFFFFF}, {epoch, epoch, {}}, false},
      {{0}, {epoch, epoch, {}}, true},
      {{0xFFFFFFFE}, {epoch - 2, epoch + 9, {epoch - 2}}, true},
      {{3}, {epoch - 2, epoch + 9, {epoch - 2, epoch + 3}}, true},
      {{4}, {epoch - 2, epoch + 9, {epoch - 2, epoch + 3}}, false},
  };
  for (auto const& c : cases) {
    emitted_transactions set;
    for (auto const xid : c.emitted) set.add(xid);
    CAPTURE(c.taken.xmax, c.emitted);
    CHECK(set.any_unseen(c.taken) == c.unseen);
    set.forget_seen(c.taken);
    CHECK(set.any_unseen(c.taken) == c.unseen);
    set.clear();
    CHECK_FALSE(set.any_unseen(c.taken));
  }
}

TEST_CASE("transactions are forgotten once they are seen, and not before") {
  std::mt19937_64 random(20);
  for (int round = 0; round < 200; ++round) {
    std::uint64_t const start = round % 2 == 0 ? 5000 : 0x5'00000000 - 3000;
    emitted_transactions set;
    std::set<std::uint64_t> running, emitted;
    for (std::uint64_t xid = start; xid < start + 6000; ++xid) {
      if (random() % 97 == 0) {
        running.insert(xid);
        if (random() % 2 == 0) continue;
      }
      emitted.insert(xid);
      set.add(static_cast<std::uint32_t>(xid));
    }
    std::uint64_t const xmax = start + 6000 - random() % 3;
    while (!running.empty()) {
      snapshot taken{0, xmax, {running.begin(), running.lower_bound(xmax)}};
      bool expected = false;
      for (auto const xid : emitted) expected |= xid >= xmax || running.contains(xid);
      REQUIRE(set.any_unseen(taken) == expected);
      set.forget_seen(taken);
      REQUIRE(set.any_unseen(taken) == expected);
      CHECK(set.blocks() <= running.size() + 3);
      running.erase(std::next(running.begin(), static_cast<std::ptrdiff_t>(random() % running.size())));
      running.erase(running.begin(), running.lower_bound(start + random() % 6000));
    }
    set.forget_seen({start + 9000, start + 9000, {}});
    CHECK(set.blocks() == 0);
  }
}
