#include "runtime/task_group.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/run_coro.hpp"
#include "support/show_result.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using etl::error;
using etl::result;
using etl::severity;
using etl::runtime::task_group;
using etl::test::let_others_run;
using etl::test::run_coro;

namespace {

using journal = std::vector<std::string>;

asio::awaitable<result<void>> succeed(journal& log, std::string name) {
  log.push_back(name);
  co_return result<void>();
}

// Until cancelled; then it takes a while to clean up.
asio::awaitable<result<void>> wait_for_ever(journal& log, std::string name) {
  asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  try {
    co_await timer.async_wait(asio::use_awaitable);
  } catch (boost::system::system_error const&) {
    log.push_back(name + " cancelled");
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await let_others_run(3);
  log.push_back(name + " clean");
  throw boost::system::system_error(asio::error::operation_aborted);
}

asio::awaitable<result<void>> fail_with(std::string message) {
  co_await let_others_run(1);
  co_return error{severity::retry, "test.failed", std::move(message)};
}

asio::awaitable<result<void>> throw_it() {
  co_await let_others_run(1);
  throw std::runtime_error("thrown");
}

}  // namespace

TEST_CASE("join waits for all children and returns success") {
  journal log;
  auto const body = [&]() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    group.spawn(succeed(log, "one"), "one");
    group.spawn(succeed(log, "two"), "two");
    log.push_back("spawned");
    co_return co_await group.join();
  };
  auto const outcome = run_coro(body());
  CHECK(outcome);
  CHECK(log == journal{"spawned", "one", "two"});
}

TEST_CASE("joining an empty group returns at once") {
  auto const body = []() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    co_return co_await group.join();
  };
  CHECK(run_coro(body()));
}

TEST_CASE("the first failure cancels the others, and join waits for their clean-up") {
  journal log;
  auto const body = [&]() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    group.spawn(wait_for_ever(log, "a"), "a");
    group.spawn(fail_with("first"), "b");
    group.spawn(wait_for_ever(log, "c"), "c");
    co_return co_await group.join();
  };
  auto const outcome = run_coro(body());
  REQUIRE(!outcome);
  CHECK(outcome.error().message == "first");
  CHECK(log == journal{"a cancelled", "c cancelled", "a clean", "c clean"});
}

TEST_CASE("an exception of a child arrives at join") {
  journal log;
  auto const body = [&]() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    group.spawn(wait_for_ever(log, "a"), "a");
    group.spawn(throw_it(), "b");
    co_return co_await group.join();
  };
  CHECK_THROWS_WITH(run_coro(body()), "thrown");
  CHECK(log == journal{"a cancelled", "a clean"});
}

TEST_CASE("a cancelled group ends well, and takes no new children") {
  journal log;
  auto const body = [&]() -> asio::awaitable<result<void>> {
    auto const executor = co_await asio::this_coro::executor;
    task_group group(executor);
    group.spawn(wait_for_ever(log, "a"), "a");
    asio::post(executor, [&] {
      asio::post(executor, [&] {
        group.cancel();
        group.spawn(succeed(log, "late"), "late");
      });
    });
    co_return co_await group.join();
  };
  CHECK(run_coro(body()));
  CHECK(log == journal{"a cancelled", "a clean"});
}

TEST_CASE("fail() is a failure like a child's") {
  journal log;
  auto const body = [&]() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    group.spawn(wait_for_ever(log, "a"), "a");
    group.fail(error{severity::retry, "test.failed", "from outside"});
    co_return co_await group.join();
  };
  auto const outcome = run_coro(body());
  REQUIRE(!outcome);
  CHECK(outcome.error().message == "from outside");
  CHECK(log.empty());  // it never began
}

TEST_CASE("children may spawn children") {
  journal log;
  auto const body = [&]() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    auto const parent = [&]() -> asio::awaitable<result<void>> {
      group.spawn(succeed(log, "child"), "child");
      log.push_back("parent");
      co_return result<void>();
    };
    group.spawn(parent(), "parent");
    co_return co_await group.join();
  };
  CHECK(run_coro(body()));
  CHECK(log == journal{"parent", "child"});
}

TEST_CASE("cancelling who joins cancels the children, waits for them, and throws") {
  journal log;
  auto const inner = [&]() -> asio::awaitable<result<void>> {
    task_group group(co_await asio::this_coro::executor);
    group.spawn(wait_for_ever(log, "a"), "a");
    group.spawn(wait_for_ever(log, "b"), "b");
    auto outcome = co_await group.join();
    log.push_back("not reached");
    co_return outcome;
  };
  auto const body = [&]() -> asio::awaitable<result<void>> {
    task_group outer(co_await asio::this_coro::executor);
    outer.spawn(inner(), "inner");
    outer.spawn(fail_with("beside"), "beside");
    co_return co_await outer.join();
  };
  auto const outcome = run_coro(body());
  REQUIRE(!outcome);
  CHECK(outcome.error().message == "beside");
  CHECK(log == journal{"a cancelled", "b cancelled", "a clean", "b clean"});
}

TEST_CASE("a cancellation that came before join drops children that have not begun") {
  journal log;
  auto const body = [&]() -> asio::awaitable<bool> {
    auto const executor = co_await asio::this_coro::executor;
    asio::cancellation_signal stop;
    bool aborted = false;
    auto const task = [&]() -> asio::awaitable<void> {
      co_await let_others_run(1);
      stop.emit(asio::cancellation_type::terminal);  // as if an operation had ended well all the same
      task_group group(executor);
      group.spawn(succeed(log, "never"), "never");
      (void)co_await group.join();
    };
    asio::co_spawn(executor, task(), asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr thrown) {
                     aborted = thrown != nullptr;
                   }));
    co_await let_others_run();
    co_return aborted;
  };
  CHECK(run_coro(body()));
  CHECK(log.empty());
}

TEST_CASE("a group that is left while a child runs aborts the process") {
  auto const child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);
    asio::io_context context(1);
    journal log;
    auto const body = [&]() -> asio::awaitable<void> {
      task_group group(context.get_executor());
      group.spawn(wait_for_ever(log, "a"), "a");
      co_await let_others_run();
    };
    asio::co_spawn(context, body(), [](std::exception_ptr) {});
    context.run_for(10s);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
}
