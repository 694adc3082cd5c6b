#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace etl::runtime {

// Lets that much time pass on the caller's core. Cancellation ends it at once, as an exception.
inline boost::asio::awaitable<void> pause(std::chrono::steady_clock::duration how_long) {
  namespace asio = boost::asio;
  asio::steady_timer timer(co_await asio::this_coro::executor, how_long);
  auto [failed] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (failed) throw boost::system::system_error(failed);
}

}  // namespace etl::runtime
