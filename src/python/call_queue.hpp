#pragma once

#include <pthread.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.hpp"

namespace etl::python::detail {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

// One call into Python, shared by the coroutine that waits for it and the thread that carries it out: either may be
// gone first.
class call {
 public:
  call(asio::any_io_executor home, clock::time_point deadline) : home_(std::move(home)), deadline_(deadline) {}
  call(call const&) = delete;
  call& operator=(call const&) = delete;
  virtual ~call() = default;

  // Python thread. Both leave an outcome and do not throw; execute() is called with the interpreter's lock held.
  virtual void execute() = 0;
  virtual void refuse(error why) = 0;

  // Home core. Who waits; nullptr once nobody does.
  asio::steady_timer* waiting = nullptr;
  bool ended = false;

 private:
  friend class call_queue;
  asio::any_io_executor home_;
  clock::time_point deadline_;
  bool wanted_ = true;  // guarded by the queue: a coroutine waits
};

// What the cores ask of the Python thread. Knows no Python: execute() of the calls does. All functions may be called
// from every thread, but for take() and finish(), which belong to the one that serves.
class call_queue {
 public:
  // `interrupt` is the signal that makes the running script raise an exception (interpreter.cpp says why a signal).
  call_queue(std::size_t limit, int interrupt) : limit_(limit), interrupt_(interrupt) {}

  // Errors: `python.overloaded` (retry), `python.stopped` (retry).
  result<void> submit(std::shared_ptr<call> one);
  // Nobody waits for it any more. It never begins if it has not yet; if it has, it is interrupted, and its outcome
  // dropped.
  void withdraw(std::shared_ptr<call> const& one);
  // Its deadline has passed: withdraws it, and interrupts it (or the one before it that is beyond its deadline, too).
  // Returns what to tell the caller.
  error expire(std::shared_ptr<call> const& one);
  // Has `work` done on the serving thread, with the interpreter's lock held, ahead of the next call. After the end of
  // the interpreter it is dropped.
  void dispose(std::function<void()> work);

  struct assignment {
    std::vector<std::function<void()>> disposals;
    std::shared_ptr<call> next;  // may be empty; without disposals, too: the queue is stopped and was worked off
  };
  // Blocks until there is something to do.
  assignment take();
  // After execute() or refuse(): wakes who waits. True when the call was interrupted meanwhile; no interruption is sent
  // after that.
  bool finish(std::shared_ptr<call> const& one);
  // The serving thread's: from here on it can be interrupted.
  void served_by(pthread_t thread);
  void served();

  // Refuses new calls; take() says so when those that wait are done.
  void stop();
  // Waits until served() was called.
  [[nodiscard]] bool wait_served(clock::time_point until);
  // Interrupts the running call, and drops those that wait.
  void interrupt_all();
  // The thread is given up: it touches no core any more.
  void abandon();

 private:
  void interrupt_running();

  std::size_t const limit_;
  int const interrupt_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<call>> waiting_;
  std::vector<std::function<void()>> disposals_;
  std::shared_ptr<call> running_;
  bool interrupted_ = false;  // running_ was
  bool stopping_ = false;
  bool served_ = false;
  std::optional<pthread_t> thread_;
};

}  // namespace etl::python::detail
