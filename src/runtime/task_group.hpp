#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace etl::runtime {

namespace asio = boost::asio;

// Coroutines that live and end together, on one core. The first that fails (or throws) cancels the others; join()
// returns when all have ended. That a child ends with operation_aborted once the group was cancelled is no failure.
//
// Children may refer to whatever outlives join(). So nothing else may be awaited between the first spawn() and join():
// a cancellation there would leave the scope while they run. The destructor aborts the process if one does; children
// that have not begun are dropped.
class task_group {
 public:
  explicit task_group(asio::any_io_executor executor) : executor_(executor), all_ended_(std::move(executor)) {}
  task_group(task_group const&) = delete;
  task_group& operator=(task_group const&) = delete;
  ~task_group();

  // The child begins after the caller has suspended. `name` is a literal, for the message of the destructor. A child
  // may spawn others. In a group that was cancelled the new one is dropped.
  void spawn(asio::awaitable<result<void>> body, std::string_view name);
  // Waits for all, always; then returns the first failure or rethrows the first exception. When cancelled itself, it
  // cancels the children, waits for them, and throws operation_aborted. Once only.
  asio::awaitable<result<void>> join();
  void cancel();
  // As if a child had failed with `why`.
  void fail(error why);

 private:
  struct child;

  static void start(std::shared_ptr<child> const& one);
  void ended(child const& one, std::exception_ptr thrown, result<void> outcome);

  asio::any_io_executor executor_;
  asio::steady_timer all_ended_;
  std::vector<std::shared_ptr<child>> children_;
  std::optional<error> failure_;
  std::exception_ptr exception_;
  bool cancelled_ = false;
};

}  // namespace etl::runtime
