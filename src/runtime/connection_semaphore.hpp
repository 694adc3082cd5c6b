#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace etl::runtime {

namespace asio = boost::asio;

// How many connections the process may hold at once, over all cores. First come, first served: nobody overtakes those
// who wait. Must outlive its permits and those who wait.
class connection_semaphore {
 public:
  explicit connection_semaphore(std::size_t limit = 100) : free_(limit) {}
  connection_semaphore(connection_semaphore const&) = delete;
  connection_semaphore& operator=(connection_semaphore const&) = delete;

  // The right to one connection, given back on destruction, on whichever thread that happens.
  class permit {
   public:
    permit(permit&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      std::swap(from_, other.from_);
      return *this;
    }
    ~permit() {
      if (from_ != nullptr) from_->release();
    }

   private:
    friend class connection_semaphore;
    explicit permit(connection_semaphore* from) : from_(from) {}
    connection_semaphore* from_;
  };

  // Any core; resumes there. Cancellable: the place in the queue is given up.
  asio::awaitable<permit> acquire();

 private:
  struct waiter;

  void release();

  std::mutex mutex_;
  std::size_t free_;  // nobody waits while this is above zero
  std::deque<std::shared_ptr<waiter>> queue_;
};

}  // namespace etl::runtime
