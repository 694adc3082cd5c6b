#include "runtime/connection_semaphore.hpp"

#include <atomic>
#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "runtime/shards.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using etl::runtime::connection_semaphore;
using etl::runtime::shards;
using etl::test::let_others_run;
using etl::test::run_coro;
using permit = connection_semaphore::permit;

namespace {

// What became of those who asked, in order: each keeps its permit until told otherwise.
struct people {
  asio::any_io_executor executor;
  connection_semaphore& semaphore;
  std::vector<std::optional<permit>> permits = std::vector<std::optional<permit>>(6);
  std::vector<asio::cancellation_signal> stops = std::vector<asio::cancellation_signal>(6);
  std::string journal;

  void ask(std::size_t who) {
    auto const body = [](people& all, std::size_t me) -> asio::awaitable<void> {
      all.permits[me].emplace(co_await all.semaphore.acquire());
      all.journal += std::to_string(me);
    };
    asio::co_spawn(executor, body(*this, who),
                   asio::bind_cancellation_slot(stops[who].slot(), [this, who](std::exception_ptr thrown) {
                     if (thrown) journal += "x" + std::to_string(who);
                   }));
  }
};

}  // namespace

TEST_CASE("permits go to those who wait in their order; who is cancelled loses its place only") {
  connection_semaphore semaphore(2);
  auto const body = [&]() -> asio::awaitable<std::string> {
    people all{co_await asio::this_coro::executor, semaphore};
    for (std::size_t who = 0; who < 5; ++who) all.ask(who);
    co_await let_others_run();
    all.journal += '|';
    all.stops[3].emit(asio::cancellation_type::terminal);
    co_await let_others_run();
    all.journal += '|';
    all.permits[0].reset();
    co_await let_others_run();
    all.permits[1].reset();
    co_await let_others_run();
    all.journal += '|';
    all.permits[2].reset();
    all.permits[4].reset();
    all.ask(5);
    co_await let_others_run();
    co_return all.journal;
  };
  CHECK(run_coro(body()) == "01|x3|24|5");
}

TEST_CASE("a permit granted to somebody who is cancelled at that moment is not lost") {
  connection_semaphore semaphore(1);
  auto const body = [&]() -> asio::awaitable<std::string> {
    people all{co_await asio::this_coro::executor, semaphore};
    for (std::size_t who = 0; who < 3; ++who) all.ask(who);
    co_await let_others_run();
    all.permits[0].reset();
    all.stops[1].emit(asio::cancellation_type::terminal);
    co_await let_others_run();
    all.permits[1].reset();
    co_await let_others_run();
    co_return all.journal;
  };
  auto const journal = run_coro(body());
  CAPTURE(journal);
  CHECK(journal.back() == '2');
}

TEST_CASE("over all cores, never more permits than the limit, and everybody gets one") {
  constexpr int limit = 3;
  constexpr int people_a_core = 20;
  constexpr int turns = 50;
  shards all(4);
  connection_semaphore semaphore(limit);
  std::atomic<int> holding = 0, most = 0, served = 0;
  auto const body = [&](asio::io_context& other) -> asio::awaitable<void> {
    for (int turn = 0; turn < turns; ++turn) {
      auto mine = std::make_shared<permit>(co_await semaphore.acquire());
      int const now = ++holding;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      ++served;
      co_await let_others_run(1);
      --holding;
      if (turn % 2 == 0) asio::post(other, [permit = std::move(mine)] {});
    }
  };
  std::vector<std::future<void>> ends;
  for (unsigned core = 0; core < all.size(); ++core) {
    for (int i = 0; i < people_a_core; ++i) {
      ends.push_back(asio::co_spawn(all.at(core), body(all.at((core + 1) % all.size())), asio::use_future));
    }
  }
  for (auto& end : ends) end.get();
  all.stop_and_join();
  CHECK(served == 4 * people_a_core * turns);
  CHECK(most <= limit);
}
