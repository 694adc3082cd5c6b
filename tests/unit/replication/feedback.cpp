#include "replication/feedback.hpp"

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>

using etl::lsn;
using etl::position;
using etl::replication::feedback;

namespace {

position at(std::uint64_t commit, std::uint64_t ordinal = 0) { return {lsn{commit}, ordinal}; }

// One source transaction that emitted rows, as the stream reports it.
void transaction(feedback& f, std::uint64_t commit) {
  f.emitted(at(commit, 6), lsn{commit + 8});
  f.received(lsn{commit + 8});
}

}  // namespace

TEST_CASE("with nothing under way, what was received is confirmed") {
  feedback f;
  CHECK(f.flushable() == lsn{0});
  f.received(lsn{100});
  CHECK(f.flushable() == lsn{100});
  CHECK(f.written() == lsn{100});
  f.received(lsn{90});
  CHECK(f.flushable() == lsn{100});
}

TEST_CASE("only whole transactions that are durable are confirmed") {
  feedback f;
  f.received(lsn{50});
  transaction(f, 100);
  transaction(f, 200);
  f.received(lsn{300});
  struct {
    position durable;
    std::uint64_t flushable;
  } const steps[] = {
      {{}, 50}, {at(100, 4), 50}, {at(100, 6), 108}, {at(200, 5), 108}, {at(150), 108}, {at(200, 6), 300},
  };
  for (auto const& step : steps) {
    CAPTURE(step.durable.commit.value, step.durable.ordinal);
    f.durable(step.durable);
    CHECK(f.flushable() == lsn{step.flushable});
    CHECK(f.written() == lsn{300});
  }
  transaction(f, 400);
  CHECK(f.flushable() == lsn{300});  // never back
}

TEST_CASE("very many transactions under way need little memory and still become confirmed") {
  feedback f;
  constexpr std::uint64_t count = 300'000;
  for (std::uint64_t i = 1; i <= count; ++i) {
    transaction(f, i * 16);
    if (i % 1024 == 0) REQUIRE(f.under_way() <= feedback::most_under_way);
  }
  CHECK(f.flushable() == lsn{0});
  std::uint64_t before = 0;
  std::size_t moves = 0;
  bool exact = true;
  for (std::uint64_t i = 1; i < count; ++i) {
    f.durable(at(i * 16, 6));
    exact &= f.flushable().value <= i * 16 + 8 && f.flushable().value >= before;
    moves += f.flushable().value > before ? 1 : 0;
    before = f.flushable().value;
  }
  CHECK(exact);
  CHECK(moves > 1000);
  f.durable(at(count * 16, 6));
  CHECK(f.flushable() == lsn{count * 16 + 8});
}

TEST_CASE("the newest transaction stays accounted for when older ones are merged") {
  for (std::size_t count = feedback::most_under_way - 1; count < feedback::most_under_way + 4; ++count) {
    CAPTURE(count);
    feedback f;
    for (std::uint64_t i = 1; i <= count; ++i) transaction(f, i * 16);
    f.durable(at((count - 1) * 16, 6));
    CHECK(f.flushable() <= lsn{(count - 1) * 16 + 8});
    f.durable(at(count * 16, 6));
    CHECK(f.flushable() == lsn{count * 16 + 8});
  }
}

TEST_CASE("what a transaction caused holds its confirmation until that is durable, too") {
  feedback f;
  transaction(f, 100);
  auto const first = f.hold();  // inside the transaction that commits at 200
  transaction(f, 200);
  auto const second = f.hold();
  auto const again = f.hold();
  transaction(f, 300);
  f.durable(at(300, 6));
  CHECK(f.flushable() == lsn{108});
  f.emitted(at(300, std::uint64_t{1} << 63), lsn{308});
  f.release(second, at(300, std::uint64_t{1} << 63));
  f.release(first, at(300, std::uint64_t{1} << 63));
  CHECK(f.flushable() == lsn{108});
  f.durable(at(300, std::uint64_t{1} << 63));
  CHECK(f.flushable() == lsn{208});  // one of two is left there
  f.release(again, {});
  CHECK(f.flushable() == lsn{308});
}
