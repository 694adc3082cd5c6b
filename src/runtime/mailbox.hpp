#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "runtime/event.hpp"

namespace etl::runtime {

// Messages from any core to one: many senders, one receiver on its home core. Those of one sender arrive in the order
// in which they were sent. Unbounded: who sends more than the receiver can take has to be held back by other means (a
// count of messages in flight, a semaphore).
template <class T>
class mailbox {
 public:
  // `home` is the receiver's core.
  explicit mailbox(asio::any_io_executor home) : inside_(std::make_shared<inside>(std::move(home))) {}
  mailbox(mailbox const&) = delete;
  mailbox& operator=(mailbox const&) = delete;

  // Any thread. Never blocks for longer than a push takes.
  void send(T message) {
    bool wake = false;
    {
      std::lock_guard const lock(inside_->mutex);
      inside_->messages.push_back(std::move(message));
      wake = !std::exchange(inside_->wake_sent, true);
    }
    // The mailbox may be gone by the time the wake-up runs: it keeps alive what it needs.
    if (wake) asio::post(inside_->home, [inside = inside_] { inside->arrived.notify(); });
  }

  // Home core; one call at a time. Cancellable: a message is either returned or stays for the next call.
  asio::awaitable<T> receive() {
    for (;;) {
      if (auto message = try_receive()) co_return std::move(*message);
      co_await inside_->arrived.wait();
    }
  }

  // Home core.
  [[nodiscard]] std::optional<T> try_receive() {
    std::lock_guard const lock(inside_->mutex);
    if (inside_->messages.empty()) {
      inside_->wake_sent = false;
      return std::nullopt;
    }
    std::optional<T> first(std::move(inside_->messages.front()));
    inside_->messages.pop_front();
    return first;
  }

 private:
  struct inside {
    explicit inside(asio::any_io_executor executor) : home(executor), arrived(std::move(executor)) {}

    asio::any_io_executor home;
    event arrived;
    std::mutex mutex;
    std::deque<T> messages;
    bool wake_sent = false;  // until the receiver has found the box empty
  };
  std::shared_ptr<inside> inside_;
};

}  // namespace etl::runtime
