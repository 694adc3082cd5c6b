#include "runtime/deadline.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using etl::error;
using etl::result;
using etl::severity;
using etl::runtime::with_deadline;
using etl::test::let_others_run;
using etl::test::run_coro;

namespace {

error too_late() { return {severity::retry, "test.timeout", "too late"}; }

asio::awaitable<result<int>> at_once(result<int> outcome) { co_return outcome; }

asio::awaitable<result<int>> never(bool& cancelled) {
  asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  try {
    co_await timer.async_wait(asio::use_awaitable);
  } catch (boost::system::system_error const&) {
    cancelled = true;
    throw;
  }
  co_return 0;
}

asio::awaitable<result<int>> returns_when_cancelled() {
  bool cancelled = false;
  try {
    co_await never(cancelled);
  } catch (boost::system::system_error const&) {
  }
  co_return cancelled ? 7 : 0;
}

asio::awaitable<result<int>> throws() {
  co_await let_others_run(1);
  throw std::runtime_error("thrown");
}

}  // namespace

TEST_CASE("an operation within its deadline returns its own outcome") {
  CHECK(run_coro(with_deadline(at_once(3), 1h, too_late())).value() == 3);
  auto const failed = run_coro(with_deadline(at_once(error{severity::data, "test.own", "own"}), 1h, too_late()));
  REQUIRE(!failed);
  CHECK(failed.error().code == "test.own");
}

TEST_CASE("an operation beyond its deadline is cancelled and waited for") {
  bool cancelled = false;
  auto const outcome = run_coro(with_deadline(never(cancelled), 1ms, too_late()));
  REQUIRE(!outcome);
  CHECK(outcome.error().code == "test.timeout");
  CHECK(cancelled);
}

TEST_CASE("what an operation returns although it was cancelled is not lost") {
  CHECK(run_coro(with_deadline(returns_when_cancelled(), 1ms, too_late())).value() == 7);
}

TEST_CASE("an exception of the operation is not taken for a timeout") {
  CHECK_THROWS_WITH(run_coro(with_deadline(throws(), 1h, too_late())), "thrown");
}

TEST_CASE("cancelling who waits cancels the operation, and is no timeout") {
  auto const body = []() -> asio::awaitable<std::string> {
    auto const executor = co_await asio::this_coro::executor;
    asio::cancellation_signal stop;
    bool cancelled = false;
    std::string ended = "not yet";
    auto const task = [&]() -> asio::awaitable<void> {
      auto const outcome = co_await with_deadline(never(cancelled), 1h, too_late());
      ended = outcome ? "returned" : "timed out";
    };
    asio::co_spawn(executor, task(), asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr thrown) {
                     if (thrown) ended = "thrown";
                   }));
    co_await let_others_run();
    stop.emit(asio::cancellation_type::terminal);
    co_await let_others_run();
    co_return ended + (cancelled ? ", operation cancelled" : "");
  };
  CHECK(run_coro(body()) == "thrown, operation cancelled");
}
