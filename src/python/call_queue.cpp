#include "python/call_queue.hpp"

#include <signal.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace etl::python::detail {

result<void> call_queue::submit(std::shared_ptr<call> one) {
  std::lock_guard const lock(mutex_);
  if (stopping_) return error{severity::retry, "python.stopped", "the Python interpreter has been stopped"};
  if (waiting_.size() >= limit_) {
    return error{severity::retry, "python.overloaded", "too many calls wait for the one thread that runs Python"};
  }
  waiting_.push_back(std::move(one));
  changed_.notify_all();
  return result<void>();
}

void call_queue::withdraw(std::shared_ptr<call> const& one) {
  std::lock_guard const lock(mutex_);
  one->wanted_ = false;
  std::erase(waiting_, one);
  if (running_ == one && !interrupted_) interrupt_running();
}

error call_queue::expire(std::shared_ptr<call> const& one) {
  std::lock_guard const lock(mutex_);
  one->wanted_ = false;
  bool const began = std::erase(waiting_, one) == 0;
  if (running_ && clock::now() >= running_->deadline_) interrupt_running();
  if (began) {
    return {severity::retry, "python.stuck", "a Python script took longer than it may, and was interrupted",
            "Where the script waits for a service, give it a shorter timeout of its own."};
  }
  return {severity::retry, "python.stuck", "another Python script kept the one thread that runs Python for too long"};
}

void call_queue::dispose(std::function<void()> work) {
  std::lock_guard const lock(mutex_);
  if (served_) return;
  disposals_.push_back(std::move(work));
  changed_.notify_all();
}

call_queue::assignment call_queue::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !waiting_.empty() || !disposals_.empty(); });
  assignment next;
  next.disposals = std::exchange(disposals_, {});
  if (!waiting_.empty()) {
    next.next = std::move(waiting_.front());
    waiting_.pop_front();
    running_ = next.next;
    interrupted_ = false;
  }
  return next;
}

bool call_queue::finish(std::shared_ptr<call> const& one) {
  std::lock_guard const lock(mutex_);
  running_.reset();
  // While a coroutine waits its core is there; under the lock it cannot stop waiting.
  if (one->wanted_) {
    asio::post(one->home_, [one] {
      one->ended = true;
      if (one->waiting != nullptr) one->waiting->cancel();
    });
  }
  return std::exchange(interrupted_, false);
}

void call_queue::served_by(pthread_t thread) {
  std::lock_guard const lock(mutex_);
  thread_ = thread;
}

void call_queue::served() {
  std::lock_guard const lock(mutex_);
  served_ = true;
  thread_.reset();
  changed_.notify_all();
}

void call_queue::stop() {
  std::lock_guard const lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

bool call_queue::wait_served(clock::time_point until) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, until, [this] { return served_; });
}

void call_queue::interrupt_all() {
  std::lock_guard const lock(mutex_);
  waiting_.clear();
  interrupt_running();
}

void call_queue::abandon() {
  std::lock_guard const lock(mutex_);
  waiting_.clear();
  if (running_) running_->wanted_ = false;
}

void call_queue::interrupt_running() {
  if (!running_ || !thread_) return;
  interrupted_ = true;
  ::pthread_kill(*thread_, interrupt_);
}

}  // namespace etl::python::detail
