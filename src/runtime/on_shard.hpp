#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.hpp"

namespace etl::runtime {

namespace asio = boost::asio;

namespace detail {

// Exceptions travel in `thrown`, which only the caller's thread lets go of: what the other thread drops later, when the
// caller may be running again, would be a race in the eyes of ThreadSanitizer.
template <class T, class Callable>
asio::awaitable<void> call_into(std::optional<result<T>>& outcome, std::exception_ptr& thrown, Callable callable) {
  try {
    if constexpr (std::is_convertible_v<std::invoke_result_t<Callable&>, result<T>>) {
      outcome.emplace(callable());
    } else {
      outcome.emplace(co_await callable());
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  co_return;
}

// Runs the callable on `executor`, then resumes the calling coroutine where it was. The callable is destroyed over
// there, what it returned is moved over.
template <class T, class Executor, class Callable>
asio::awaitable<result<T>> run_elsewhere(Executor executor, Callable callable) {
  std::optional<result<T>> outcome;
  std::exception_ptr thrown;
  // A slot of its own, never connected: emitting the caller's cancellation on another thread would be a race.
  co_await asio::co_spawn(executor, call_into<T>(outcome, thrown, std::move(callable)),
                          asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
  if (thrown) std::rethrow_exception(thrown);
  co_return std::move(*outcome);
}

}  // namespace detail

// Runs `callable`, which returns result<T> or awaitable<result<T>>, on another core; the caller is resumed on its own.
// What the callable refers to must be safe to use there. An exception (its cancellation, too) arrives at the caller.
//
// Not cancellable: a cancelled caller is resumed when the callable has ended, and throws at its next await. To end it
// early, send `where` a message that makes it end.
template <class T, class Callable>
asio::awaitable<result<T>> on_shard(asio::io_context& where, Callable callable) {
  return detail::run_elsewhere<T>(where.get_executor(), std::move(callable));
}

}  // namespace etl::runtime
