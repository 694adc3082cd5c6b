#include "runtime/event.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace etl::runtime {

asio::awaitable<bool> event::wait_until(std::chrono::steady_clock::time_point limit) {
  if (!notified_) {
    auto const before = notifications_;
    asio::steady_timer timer(executor_, limit);
    waiting_.push_back(&timer);
    struct leave {
      event& from;
      asio::steady_timer* timer;
      ~leave() { std::erase(from.waiting_, timer); }
    } const guard{*this, &timer};
    auto const [failed] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (notifications_ == before) {
      if (failed) throw boost::system::system_error(asio::error::operation_aborted);
      co_return false;
    }
    // A second notification while this coroutine was on its way is kept: it may have been meant for another waiter,
    // who is already past the first.
    if (notifications_ != before + 1) co_return true;
  }
  if (mode_ == mode::automatic) notified_ = false;
  co_return true;
}

asio::awaitable<void> event::wait() { co_await wait_until(asio::steady_timer::time_point::max()); }

asio::awaitable<bool> event::wait_for(std::chrono::steady_clock::duration limit) {
  co_return co_await wait_until(std::chrono::steady_clock::now() + limit);
}

void event::notify() {
  notified_ = true;
  ++notifications_;
  for (auto* const timer : waiting_) timer->cancel();
}

}  // namespace etl::runtime
