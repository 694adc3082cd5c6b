#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <type_traits>
#include <utility>

#include "runtime/on_shard.hpp"

namespace etl::runtime {

// One thread for calls that block: SQLite, fsync, name resolution. Calls run one after another, in the order in which
// they came. May be used from every core; it must outlive the calls.
class blocking_worker {
 public:
  // The thread's name as `ps` shows it, 15 characters at most.
  explicit blocking_worker(char const* name = "blocking");
  blocking_worker(blocking_worker const&) = delete;
  blocking_worker& operator=(blocking_worker const&) = delete;
  // Waits for the calls that were made.
  ~blocking_worker() { thread_.join(); }

  // Runs `call`, which returns result<T>, on the thread and resumes the caller on its own core. Not cancellable: the
  // caller waits for the call to end, so it may refer to the caller's variables.
  template <class Callable>
  auto run(Callable call) {
    using value = typename std::invoke_result_t<Callable&>::value_type;
    return detail::run_elsewhere<value>(thread_.get_executor(), std::move(call));
  }

 private:
  asio::thread_pool thread_{1};
};

}  // namespace etl::runtime
