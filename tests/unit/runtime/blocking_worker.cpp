#include "runtime/blocking_worker.hpp"

#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "support/run_coro.hpp"

namespace asio = boost::asio;
using etl::error;
using etl::result;
using etl::severity;
using etl::runtime::blocking_worker;
using etl::test::run_coro;

TEST_CASE("a call runs on the worker's thread, and its caller goes on here") {
  blocking_worker worker("test");
  auto const body = [&]() -> asio::awaitable<bool> {
    auto const here = std::this_thread::get_id();
    auto const there = co_await worker.run([] { return result<std::thread::id>(std::this_thread::get_id()); });
    auto const failed = co_await worker.run([]() -> result<void> { return error{severity::retry, "test.call", "no"}; });
    co_return there.value() != here&& std::this_thread::get_id() == here&& failed.error().code == "test.call";
  };
  CHECK(run_coro(body()));
}

TEST_CASE("calls run in the order in which they came, and all before the worker is gone") {
  std::vector<int> order;
  std::promise<void> gate;
  asio::io_context context(1);
  auto const call = [&](blocking_worker& worker, int number) -> asio::awaitable<void> {
    (void)co_await worker.run([&, number]() -> result<void> {
      if (number == 0) gate.get_future().wait();
      order.push_back(number);
      return result<void>();
    });
  };
  {
    blocking_worker worker;
    for (int i = 0; i < 5; ++i) asio::co_spawn(context, call(worker, i), asio::detached);
    context.poll();
    gate.set_value();
  }
  CHECK(order == std::vector{0, 1, 2, 3, 4});
  context.run();
}

TEST_CASE("an exception of a call arrives at its caller") {
  blocking_worker worker;
  auto const body = [&]() -> asio::awaitable<void> {
    (void)co_await worker.run([]() -> result<void> { throw std::runtime_error("there"); });
  };
  CHECK_THROWS_WITH(run_coro(body()), "there");
}
