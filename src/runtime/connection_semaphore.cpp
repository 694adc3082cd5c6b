#include "runtime/connection_semaphore.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "runtime/event.hpp"

namespace etl::runtime {

struct connection_semaphore::waiter {
  explicit waiter(asio::any_io_executor executor) : home(executor), wake(std::move(executor)) {}

  asio::any_io_executor home;
  event wake;            // belongs to home
  bool granted = false;  // under the semaphore's mutex
};

asio::awaitable<connection_semaphore::permit> connection_semaphore::acquire() {
  auto const executor = co_await asio::this_coro::executor;
  std::shared_ptr<waiter> me;
  {
    std::lock_guard const lock(mutex_);
    if (free_ > 0) {
      --free_;
      co_return permit(this);
    }
    me = queue_.emplace_back(std::make_shared<waiter>(executor));
  }
  // Leaves the queue, or owns what was granted: whichever way this coroutine ends.
  struct guard {
    connection_semaphore& semaphore;
    waiter& me;
    ~guard() {
      bool granted = false;
      {
        std::lock_guard const lock(semaphore.mutex_);
        granted = std::exchange(me.granted, false);
        std::erase_if(semaphore.queue_, [this](auto const& each) { return each.get() == &me; });
      }
      if (granted) semaphore.release();
    }
  } const leave{*this, *me};
  for (;;) {
    co_await me->wake.wait();
    std::lock_guard const lock(mutex_);
    if (std::exchange(me->granted, false)) co_return permit(this);
  }
}

void connection_semaphore::release() {
  std::shared_ptr<waiter> next;
  {
    std::lock_guard const lock(mutex_);
    if (queue_.empty()) {
      ++free_;
      return;
    }
    next = std::move(queue_.front());
    queue_.pop_front();
    next->granted = true;
  }
  auto const home = next->home;
  asio::post(home, [next = std::move(next)] { next->wake.notify(); });
}

}  // namespace etl::runtime
