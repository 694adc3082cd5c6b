#include "runtime/circuit_breaker.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using etl::runtime::circuit_breaker;
using state = circuit_breaker::state;

namespace {

circuit_breaker::clock::time_point at(std::chrono::milliseconds since) {
  return circuit_breaker::clock::time_point(std::chrono::hours(1000) + since);
}

}  // namespace

TEST_CASE("a story of calls opens and closes the breaker") {
  // f: a call failed, s: it succeeded, Y: allowed, n: not allowed, +: ten seconds pass
  struct {
    std::string_view story;
    state ends;
  } const cases[] = {
      {"YYYY", state::closed},
      {"ffffY", state::closed},
      {"fffffn", state::open},
      {"ffffsffffY", state::closed},     // in a row
      {"fffff++n", state::open},         // 20 s are not enough
      {"fffff+++Yn", state::half_open},  // one probe at a time
      {"fffff+++YsYsY", state::closed},
      {"fffff+++Ysf", state::open},
      {"fffff+++Yf++n", state::open},  // opened anew: 30 s from now
      {"fffff+++Yf+++Y", state::half_open},
      {"fffff+++Y++n+Y", state::half_open},  // a probe that says nothing is given up
      {"fffffsn", state::open},              // late answers change nothing
      {"ffffffff+++Y", state::half_open},
  };
  for (auto const& c : cases) {
    CAPTURE(c.story);
    circuit_breaker breaker;
    auto now = at(0ms);
    for (char const step : c.story) {
      if (step == '+') now += 10s;
      if (step == 'f') breaker.failed(now);
      if (step == 's') breaker.succeeded(now);
      if (step == 'Y') CHECK(breaker.allow(now));
      if (step == 'n') CHECK_FALSE(breaker.allow(now));
    }
    CHECK(breaker.current() == c.ends);
  }
}

TEST_CASE("as many probes at once as asked for") {
  circuit_breaker breaker({.failures_to_open = 1, .open_for = 10ms, .probes = 3, .successes_to_close = 3});
  breaker.failed(at(0ms));
  for (int i = 0; i < 3; ++i) CHECK(breaker.allow(at(10ms)));
  CHECK_FALSE(breaker.allow(at(10ms)));
  breaker.succeeded(at(11ms));
  CHECK(breaker.allow(at(11ms)));
  breaker.succeeded(at(11ms));
  CHECK(breaker.current() == state::half_open);
  breaker.succeeded(at(11ms));
  CHECK(breaker.current() == state::closed);
}

TEST_CASE("from many threads: an open breaker lets exactly its probes through") {
  constexpr int rounds = 2'000;
  constexpr unsigned probes = 2;
  circuit_breaker breaker({.failures_to_open = 1, .open_for = 10ms, .probes = probes, .successes_to_close = 200});
  std::atomic<int> round = 0, arrived = 0, allowed = 0;
  std::vector<std::thread> threads;
  std::atomic<bool> wrong = false;
  auto const now = [&](int number) { return at(20ms * number); };
  breaker.failed(now(0));
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int mine = 1; mine <= rounds; ++mine) {
        while (round.load() < mine) std::this_thread::yield();
        if (breaker.allow(now(mine))) ++allowed;
        ++arrived;
      }
    });
  }
  for (int number = 1; number <= rounds; ++number) {
    round = number;
    while (arrived.load() < 4 * number) std::this_thread::yield();
    if (allowed.exchange(0) != static_cast<int>(probes)) wrong = true;
    breaker.failed(now(number));
  }
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(wrong);
}
