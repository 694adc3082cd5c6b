#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <vector>

namespace etl::runtime {

namespace asio = boost::asio;

// A notification between coroutines of one core. It says "look again", not what happened: waiters check a condition of
// their own in a loop, since a wait may end although nothing changed.
//
// notify() wakes everybody who waits. An automatic event that nobody waited for remembers it for the next wait(); a
// manual one stays notified, and lets every wait() through, until reset().
class event {
 public:
  enum class mode : std::uint8_t { automatic, manual };

  explicit event(asio::any_io_executor executor, mode how = mode::automatic)
      : executor_(std::move(executor)), mode_(how) {}
  event(event const&) = delete;
  event& operator=(event const&) = delete;

  // Both return after a notification; wait_for() says false when `limit` passed without one. Cancellable: throws
  // operation_aborted, and a notification that came at the same time stays for the next wait. The event has to live
  // until they return.
  asio::awaitable<void> wait();
  asio::awaitable<bool> wait_for(std::chrono::steady_clock::duration limit);

  void notify();
  void reset() { notified_ = false; }
  // A wait() would return at once.
  [[nodiscard]] bool notified() const { return notified_; }

 private:
  asio::awaitable<bool> wait_until(std::chrono::steady_clock::time_point limit);

  asio::any_io_executor executor_;
  mode mode_;
  bool notified_ = false;
  std::uint64_t notifications_ = 0;
  std::vector<asio::steady_timer*> waiting_;
};

}  // namespace etl::runtime
