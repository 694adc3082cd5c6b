#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace etl::runtime {

namespace asio = boost::asio;

// The cores that this process may run on (its affinity mask); at least 1.
[[nodiscard]] unsigned allowed_cores();

// One thread and one io_context per core, each thread pinned to its core where the system allows that. The threads run
// from construction to stop_and_join(). An exception that escapes a handler is a bug: it is logged, and the process
// aborts.
class shards {
 public:
  // 0: as many as allowed_cores(). More than that share the cores in turn.
  explicit shards(unsigned count = 0);
  shards(shards const&) = delete;
  shards& operator=(shards const&) = delete;
  ~shards() { stop_and_join(); }

  [[nodiscard]] unsigned size() const { return static_cast<unsigned>(contexts_.size()); }
  // Valid until destruction. Any thread.
  [[nodiscard]] asio::io_context& at(unsigned index) { return *contexts_.at(index); }
  // Lets handlers that are running end, drops those that wait, and joins the threads: coroutines have to be stopped and
  // waited for before. Not from one of the threads. A second call does nothing.
  void stop_and_join();

 private:
  std::vector<std::unique_ptr<asio::io_context>> contexts_;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::vector<std::thread> threads_;
};

}  // namespace etl::runtime
