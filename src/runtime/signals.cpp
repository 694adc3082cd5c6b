#include "runtime/signals.hpp"

#include <signal.h>
#include <unistd.h>

namespace etl::runtime {
namespace {

void leave_at_once(int number) { _exit(128 + number); }

void set_handler(int number, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  sigaction(number, &action, nullptr);
}

}  // namespace

signals::signals(asio::io_context& core, std::function<void()> on_hangup)
    : set_(core, SIGTERM, SIGINT), on_hangup_(std::move(on_hangup)), stop_(core.get_executor(), event::mode::manual) {
  set_handler(SIGPIPE, SIG_IGN);
  if (on_hangup_) set_.add(SIGHUP);
  listen();
}

void signals::listen() {
  set_.async_wait([this](boost::system::error_code failed, int number) {
    if (failed) return;
    received(number);
    listen();
  });
}

void signals::received(int number) {
  if (number == SIGHUP) {
    on_hangup_();
    return;
  }
  // One that came in before the handlers below were in place is the second, too.
  if (stop_signal_ != 0) leave_at_once(number);
  stop_signal_ = number;
  for (int const each : {SIGTERM, SIGINT}) {
    set_.remove(each);
    set_handler(each, leave_at_once);
  }
  stop_.notify();
}

}  // namespace etl::runtime
