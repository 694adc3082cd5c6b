#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>

#include "runtime/event.hpp"

namespace etl::runtime {

// The process's signals, delivered to one core. SIGTERM and SIGINT ask for a clean stop; a second one ends the process
// at once with 128 + its number, even when that core is stuck. SIGPIPE is ignored from construction on: writing to a
// closed pipe is an error of that write. One object a process.
class signals {
 public:
  // `on_hangup` runs on the core at each SIGHUP. Empty: SIGHUP does what it did before.
  explicit signals(asio::io_context& core, std::function<void()> on_hangup = {});
  signals(signals const&) = delete;
  signals& operator=(signals const&) = delete;

  // The following belong to the core. Returns once a stop was asked for; cancellable.
  asio::awaitable<void> stop_requested() { return stop_.wait(); }
  // 0, SIGTERM or SIGINT.
  [[nodiscard]] int stop_signal() const { return stop_signal_; }

 private:
  void listen();
  void received(int number);

  asio::signal_set set_;
  std::function<void()> on_hangup_;
  event stop_;
  int stop_signal_ = 0;
};

}  // namespace etl::runtime
