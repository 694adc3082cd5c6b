#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.hpp"

namespace etl::runtime {

namespace asio = boost::asio;

// The operation's outcome, or `on_timeout` when `limit` passed first: then the operation is cancelled, and waited for.
// An outcome that it returns all the same is not lost. Cancelling the caller cancels the operation; an operation that
// does not react to cancellation holds up both.
template <class T>
asio::awaitable<result<T>> with_deadline(asio::awaitable<result<T>> operation,
                                         std::chrono::steady_clock::duration limit, error on_timeout) {
  struct race {
    asio::cancellation_signal stop;
    bool over = false;
    bool expired = false;
  };
  auto const state = std::make_shared<race>();
  auto const executor = co_await asio::this_coro::executor;
  auto cancellation = co_await asio::this_coro::cancellation_state;

  asio::steady_timer timer(executor, limit);
  timer.async_wait([state](boost::system::error_code failed) {
    if (failed || state->over) return;
    state->expired = true;
    state->stop.emit(asio::cancellation_type::terminal);
  });
  if (auto slot = cancellation.slot(); slot.is_connected()) {
    slot.assign([state](asio::cancellation_type type) {
      if (!state->over) state->stop.emit(type);
    });
  }

  std::optional<result<T>> outcome;
  std::exception_ptr thrown;
  try {
    auto const keep = [](asio::awaitable<result<T>> from, std::optional<result<T>>& to) -> asio::awaitable<void> {
      to.emplace(co_await std::move(from));
    };
    co_await asio::co_spawn(executor, keep(std::move(operation), outcome),
                            asio::bind_cancellation_slot(state->stop.slot(), asio::use_awaitable));
  } catch (boost::system::system_error const& failed) {
    bool const timed_out =
        state->expired && !cancellation.cancelled() && failed.code() == asio::error::operation_aborted;
    if (!timed_out) thrown = std::current_exception();
  } catch (...) {
    thrown = std::current_exception();
  }
  state->over = true;
  if (auto slot = cancellation.slot(); slot.is_connected()) slot.clear();
  if (thrown) std::rethrow_exception(thrown);
  if (outcome) co_return std::move(*outcome);
  co_return on_timeout;
}

}  // namespace etl::runtime
