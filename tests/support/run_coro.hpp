#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace etl::test {

namespace asio = boost::asio;

// Runs a coroutine on an io_context of its own and returns what it returns, or rethrows. Fails the test when that takes
// longer than `limit`: the coroutine is cancelled then, so that what it started can end.
template <class T>
T run_coro(asio::io_context& context, asio::awaitable<T> body, std::chrono::seconds limit = std::chrono::seconds(30)) {
  using kept = std::conditional_t<std::is_void_v<T>, bool, T>;
  std::optional<kept> outcome;
  std::exception_ptr thrown;
  bool ended = false;
  auto const keep = [&](asio::awaitable<T> from) -> asio::awaitable<void> {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(from);
    } else {
      outcome.emplace(co_await std::move(from));
    }
  };
  asio::cancellation_signal stop;
  asio::co_spawn(context, keep(std::move(body)),
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr failed) {
                   thrown = std::move(failed);
                   ended = true;
                 }));
  context.run_for(limit);
  if (!ended) {
    stop.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(limit);
    FAIL("the coroutine did not end in time");
  }
  if (thrown) std::rethrow_exception(thrown);
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

template <class T>
T run_coro(asio::awaitable<T> body, std::chrono::seconds limit = std::chrono::seconds(30)) {
  asio::io_context context(1);
  return run_coro(context, std::move(body), limit);
}

// Lets everything that is ready on this core run, `rounds` times over.
inline asio::awaitable<void> let_others_run(int rounds = 20) {
  for (int i = 0; i < rounds; ++i) co_await asio::post(asio::use_awaitable);
}

}  // namespace etl::test
