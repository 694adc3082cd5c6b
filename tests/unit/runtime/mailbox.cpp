#include "runtime/mailbox.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/deadline.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using etl::runtime::mailbox;
using etl::test::let_others_run;
using etl::test::run_coro;

TEST_CASE("messages arrive in order, whether sent before or while somebody waits") {
  asio::io_context context(1);
  mailbox<int> box(context.get_executor());
  box.send(1);
  box.send(2);
  auto const body = [&]() -> asio::awaitable<std::vector<int>> {
    std::vector<int> got{co_await box.receive()};
    asio::post(context, [&] {
      box.send(3);
      box.send(4);
    });
    while (got.size() < 4) got.push_back(co_await box.receive());
    co_return got;
  };
  CHECK(run_coro(context, body()) == std::vector{1, 2, 3, 4});
  CHECK_FALSE(box.try_receive().has_value());
}

TEST_CASE("a cancelled receive loses no message") {
  asio::io_context context(1);
  mailbox<int> box(context.get_executor());
  auto const body = [&]() -> asio::awaitable<int> {
    asio::cancellation_signal stop;
    int received = 0;
    asio::co_spawn(context, box.receive(),
                   asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr, int got) { received += got; }));
    co_await let_others_run();
    box.send(5);
    stop.emit(asio::cancellation_type::terminal);
    co_await let_others_run();
    if (auto left = box.try_receive()) received += *left;
    co_return received;
  };
  CHECK(run_coro(context, body()) == 5);
}

TEST_CASE("a message that waits when the box is destroyed is dropped, and its wake-up does no harm") {
  asio::io_context context(1);
  auto const counted = std::make_shared<int>(0);
  {
    mailbox<std::shared_ptr<int>> box(context.get_executor());
    box.send(counted);
  }
  context.run();
  CHECK(counted.use_count() == 1);
}

TEST_CASE("many senders on threads of their own: each one's messages arrive once and in order") {
  constexpr int senders = 4;
  constexpr int each = 20'000;
  asio::io_context context(1);
  mailbox<std::pair<int, int>> box(context.get_executor());
  std::vector<std::thread> threads;
  for (int sender = 0; sender < senders; ++sender) {
    threads.emplace_back([&box, sender] {
      for (int i = 0; i < each; ++i) box.send({sender, i});
    });
  }
  std::map<int, int> next;
  bool in_order = true;
  auto const body = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < senders * each; ++i) {
      auto const [sender, number] = co_await box.receive();
      in_order = in_order && next[sender]++ == number;
    }
  };
  run_coro(context, body());
  for (auto& thread : threads) thread.join();
  CHECK(in_order);
  CHECK(next == std::map<int, int>{{0, each}, {1, each}, {2, each}, {3, each}});
}
