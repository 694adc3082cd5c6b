#include "runtime/event.hpp"

#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>
#include <vector>

#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using etl::runtime::event;
using etl::test::let_others_run;
using etl::test::run_coro;

namespace {

constexpr auto far_away = 1h;

asio::awaitable<void> count_waits(event& what, int& count) {
  for (;;) {
    co_await what.wait();
    ++count;
  }
}

// Starts a coroutine that ends with the returned signal.
std::unique_ptr<asio::cancellation_signal> start(asio::any_io_executor executor, asio::awaitable<void> body) {
  auto stop = std::make_unique<asio::cancellation_signal>();
  asio::co_spawn(executor, std::move(body), asio::bind_cancellation_slot(stop->slot(), asio::detached));
  return stop;
}

bool cancelled(std::exception_ptr const& thrown) {
  if (!thrown) return false;
  try {
    std::rethrow_exception(thrown);
  } catch (boost::system::system_error const& failed) {
    return failed.code() == asio::error::operation_aborted;
  }
}

}  // namespace

TEST_CASE("an event remembers a notification that nobody waited for, once") {
  asio::io_context context(1);
  event what(context.get_executor());
  what.notify();
  what.notify();
  bool const remembered = run_coro(context, what.wait_for(far_away));
  CHECK(remembered);
  CHECK_FALSE(what.notified());
  context.restart();
  bool const again = run_coro(context, what.wait_for(1ms));
  CHECK_FALSE(again);
}

TEST_CASE("a manual event lets everybody through until it is reset") {
  asio::io_context context(1);
  event what(context.get_executor(), event::mode::manual);
  what.notify();
  auto const body = [&]() -> asio::awaitable<std::vector<bool>> {
    std::vector<bool> seen;
    for (int i = 0; i < 2; ++i) seen.push_back(co_await what.wait_for(far_away));
    what.reset();
    seen.push_back(co_await what.wait_for(1ms));
    co_return seen;
  };
  CHECK(run_coro(context, body()) == std::vector{true, true, false});
}

TEST_CASE("notify wakes everybody who waits") {
  int first = 0, second = 0;
  auto const body = [&]() -> asio::awaitable<void> {
    auto const executor = co_await asio::this_coro::executor;
    event what(executor);
    auto const a = start(executor, count_waits(what, first));
    auto const b = start(executor, count_waits(what, second));
    for (int i = 0; i < 3; ++i) {
      co_await let_others_run();
      what.notify();
    }
    co_await let_others_run();
    a->emit(asio::cancellation_type::terminal);
    b->emit(asio::cancellation_type::terminal);
    co_await let_others_run();
  };
  run_coro(body());
  CHECK(first == 3);
  CHECK(second == 3);
}

TEST_CASE("a notification between wake-up and next wait reaches who is past the first") {
  // Both wait. The first to wake triggers a second notification at once: neither may sleep through it.
  int first = 0, second = 0;
  auto const body = [&]() -> asio::awaitable<void> {
    auto const executor = co_await asio::this_coro::executor;
    event what(executor);
    auto const relay = [&]() -> asio::awaitable<void> {
      for (;;) {
        co_await what.wait();
        if (++first == 1) what.notify();
      }
    };
    auto const a = start(executor, relay());
    auto const b = start(executor, count_waits(what, second));
    co_await let_others_run();
    what.notify();
    co_await let_others_run();
    a->emit(asio::cancellation_type::terminal);
    b->emit(asio::cancellation_type::terminal);
    co_await let_others_run();
  };
  run_coro(body());
  CHECK(first + second >= 3);
}

TEST_CASE("a cancelled wait throws, and takes no notification with it") {
  auto const body = [](bool notify_too) -> asio::awaitable<std::pair<bool, bool>> {
    auto const executor = co_await asio::this_coro::executor;
    event what(executor);
    std::exception_ptr thrown;
    asio::cancellation_signal stop;
    bool ended = false;
    asio::co_spawn(executor, what.wait(), asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr failed) {
                     thrown = failed;
                     ended = true;
                   }));
    co_await let_others_run();
    stop.emit(asio::cancellation_type::terminal);
    if (notify_too) what.notify();
    co_await let_others_run();
    // With both, either outcome of the wait is fine, as long as somebody hears of the notification.
    bool const heard = (ended && !thrown) || what.notified();
    co_return std::pair(cancelled(thrown), heard);
  };
  CHECK(run_coro(body(false)) == std::pair(true, false));
  CHECK(run_coro(body(true)).second);
}
