#include "replication/receive_habit.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <set>
#include <tuple>

using namespace std::chrono_literals;
using etl::replication::habit;
using etl::replication::receive_habit;

namespace {

// A walsender whose rate follows from how it is read from, and a reader that follows the advice.
struct simulation {
  std::function<double(habit const&)> rate;  // bytes a second
  receive_habit reader{};
  receive_habit::time_point now{};
  habit way{};

  // Bytes that came in `length`.
  double run(std::chrono::steady_clock::duration length) {
    double sum = 0;
    for (auto const end = now + length; now < end;) {
      auto const turn = std::max<std::chrono::steady_clock::duration>(way.pause, 50us);
      now += turn;
      auto const bytes = rate(way) * std::chrono::duration<double>(turn).count();
      sum += bytes;
      way = reader.next(now, static_cast<std::size_t>(bytes));
    }
    return sum;
  }
};

bool lazy(habit const& h) { return h.pause >= 2ms && h.low_water == 0; }

auto steady(double bytes_a_second) {
  return [=](habit const&) { return bytes_a_second; };
}

}  // namespace

TEST_CASE("at a trickle the reader wakes at once") {
  for (double const rate : {0.0, 1e3, 5e5, 3e6}) {
    simulation s{steady(rate)};
    for (int i = 0; i < 1000; ++i) {
      s.run(1ms);
      REQUIRE(s.way == habit{});
    }
  }
}

TEST_CASE("a burst is no flood") {
  simulation s{steady(100e6)};
  s.run(10ms);
  s.rate = steady(1e4);
  s.run(100ms);
  CHECK_FALSE(s.reader.in_flood());
  CHECK(s.way == habit{});
}

TEST_CASE("in a flood the habit that brings the most is found and kept") {
  struct {
    char const* what;
    std::function<double(habit const&)> rate;
    std::function<bool(habit const&)> best;
  } const cases[] = {
      {"one read, then a short pause", [](habit const& h) { return !h.drain && h.pause < 300us ? 80e6 : 35e6; },
       [](habit const& h) { return !h.drain && h.pause == 200us; }},
      {"one read, then a longer pause", [](habit const& h) { return !h.drain && h.pause > 300us ? 40e6 : 13e6; },
       [](habit const& h) { return !h.drain && h.pause == 500us; }},
      {"a long pause", [](habit const& h) { return lazy(h) ? 90e6 : 38e6; }, lazy},
      {"a low-water mark", [](habit const& h) { return h.low_water != 0 ? 60e6 : 30e6; },
       [](habit const& h) { return h.low_water != 0; }},
      {"all alike: the eager one", steady(20e6), [](habit const& h) { return h == habit{}; }},
      {"a little more is not worth it", [](habit const& h) { return h.pause > 1ms ? 20.5e6 : 20e6; },
       [](habit const& h) { return h == habit{}; }},
  };
  for (auto const& c : cases) {
    CAPTURE(c.what);
    simulation s{c.rate};
    s.run(1s);
    CHECK(c.best(s.way));
    double most = 0;
    for (auto const& h : {habit{}, habit{200us, false}, habit{500us, false}, habit{2ms}, habit{2ms, true, 40 * 1024}}) {
      most = std::max(most, c.rate(h));
    }
    CHECK(s.run(10s) > 0.94 * 10 * most);
    CHECK(s.reader.in_flood());
  }
}

TEST_CASE("every habit is tried") {
  std::set<std::tuple<long, bool, std::uint32_t>> tried;
  simulation s{[&](habit const& h) {
    tried.emplace(h.pause.count(), h.drain, h.low_water);
    return 20e6;
  }};
  s.run(1s);
  CHECK(tried.size() == 5);
}

TEST_CASE("a habit that brings nothing ends neither the search nor the flood") {
  simulation s{[](habit const& h) { return lazy(h) ? 1e4 : h.low_water != 0 ? 80e6 : 30e6; }};
  s.run(500ms);
  CHECK(s.reader.in_flood());
  CHECK(s.way.low_water != 0);
  CHECK(s.run(20s) > 0.97 * 20 * 80e6);
}

TEST_CASE("when the flow changes, another habit may be the best") {
  simulation s{[](habit const& h) { return lazy(h) ? 80e6 : 30e6; }};
  s.run(1s);
  REQUIRE(lazy(s.way));
  SECTION("the kept one got much worse: found within a second") {
    s.rate = [](habit const& h) { return lazy(h) ? 10e6 : h.drain ? 15e6 : 40e6; };
    s.run(1s);
    CHECK_FALSE(s.way.drain);
  }
  SECTION("another got better: found when it has its turn") {
    s.rate = [](habit const& h) { return lazy(h) ? 80e6 : h.low_water != 0 ? 120e6 : 30e6; };
    s.run(60s);
    CHECK(s.way.low_water != 0);
  }
  SECTION("it ends: the reader wakes at once again") {
    s.rate = steady(2e5);
    s.run(400ms);
    CHECK(s.way == habit{});
    CHECK_FALSE(s.reader.in_flood());
  }
}

TEST_CASE("time in which the destination was behind says nothing about a habit") {
  simulation s{[](habit const& h) { return lazy(h) ? 80e6 : 30e6; }};
  int turn = 0;
  // Whatever is tried, every third stretch of 40 ms is followed by a standstill.
  for (int i = 0; i < 100; ++i) {
    s.run(40ms);
    if (++turn % 3 == 0) {
      s.now += 300ms;
      s.reader.interrupted(s.now);
    }
  }
  CHECK(lazy(s.way));
}
