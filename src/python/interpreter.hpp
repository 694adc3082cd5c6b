#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "python/call_queue.hpp"

// Nothing here shows a type of Python's: who only starts, stops and hands on the interpreter needs none of its headers.
namespace etl::python {

namespace asio = boost::asio;

struct options {
  // A virtual environment, whose packages scripts can import. Without one they have those of the system.
  std::string venv;
  bool venv_required = false;  // somebody asked for it: that it is missing is an error
};

namespace detail {

// Of the exception that is being handled; Python thread. The one place where Python's exceptions become errors:
//   `python.exception` (retry)  any other: its type and the last frames; what it says is in server_text
//   `python.package` (config)   a package that is not installed, with the command that installs it
//   `python.script` (config)    the script is no Python, or lacks what is asked of it
//   `python.refused`, `python.failed`, `python.data`   what a script raises as one of etl_stream's own exceptions
[[nodiscard]] error describe_exception(std::string const& venv);

template <class T, class Job>
class call_of final : public call {
 public:
  call_of(asio::any_io_executor home, clock::time_point deadline, Job job, std::string const& venv)
      : call(std::move(home), deadline), job_(std::move(job)), venv_(venv) {}

  void execute() override {
    try {
      outcome.emplace((*job_)());
    } catch (...) {
      outcome.emplace(describe_exception(venv_));
    }
    job_.reset();
  }
  void refuse(error why) override { outcome.emplace(std::move(why)); }

  std::optional<result<T>> outcome;

 private:
  std::optional<Job> job_;
  std::string venv_;
};

}  // namespace detail

// The process's Python: one thread, which owns the interpreter from its start to its end, and carries out one call
// after another. Construct it after the process's signal handlers and outside of the cores' threads; no core may end
// before stop(). At most one at a time exists in a process.
class interpreter {
 public:
  // Returns at once. What hinders the start (a missing environment, one of another Python) is what every call returns:
  // `python.venv`, `python.start` (config).
  explicit interpreter(options how);
  interpreter(interpreter const&) = delete;
  interpreter& operator=(interpreter const&) = delete;
  // stop() with five seconds, if nobody called it.
  ~interpreter();

  // Runs `job`, which returns result<T>, on the Python thread with the interpreter's lock held, and returns its
  // outcome. What it throws becomes an error (detail::describe_exception). It has to own all that it touches, and
  // nothing of Python's may leave it but in an object_slot.
  //
  // Any core, and resumes there. Cancellable at any time: the caller goes on at once, a job that has not begun never
  // will, in one that has a KeyboardInterrupt is raised, and its outcome is dropped. The same happens after `limit`,
  // when the caller gets `python.stuck` (retry). Further errors: `python.overloaded`, `python.stopped` (retry).
  template <class Job>
  auto run(Job job, std::chrono::steady_clock::duration limit)
      -> asio::awaitable<result<typename std::invoke_result_t<Job&>::value_type>> {
    return run_on<typename std::invoke_result_t<Job&>::value_type>(queue_, venv_, std::move(job), limit);
  }

  // Carries out the calls that wait, ends the interpreter, and joins the thread. A script that runs for longer than
  // half of `limit` is interrupted. False: the thread hangs in foreign code all the same, and was given up. Then the
  // process can only end without the clean-up of exit(), by _exit(). Blocks; nobody may wait for a call any more. Once
  // only.
  [[nodiscard]] bool stop(std::chrono::steady_clock::duration limit);

  // For the life of objects beyond a call.
  [[nodiscard]] std::shared_ptr<detail::call_queue> const& queue() const { return queue_; }

 private:
  template <class T, class Job>
  static asio::awaitable<result<T>> run_on(std::shared_ptr<detail::call_queue> queue, std::string venv, Job job,
                                           std::chrono::steady_clock::duration limit) {
    struct withdrawal {
      detail::call_queue& queue;
      std::shared_ptr<detail::call> one;
      ~withdrawal() {
        one->waiting = nullptr;
        queue.withdraw(one);
      }
    };
    auto const home = co_await asio::this_coro::executor;
    asio::steady_timer wake(home, limit);
    auto const one = std::make_shared<detail::call_of<T, Job>>(home, wake.expiry(), std::move(job), venv);
    one->waiting = &wake;
    withdrawal const at_the_end{*queue, one};
    if (auto submitted = queue->submit(one); !submitted) co_return fail(std::move(submitted));
    auto const [cancelled] = co_await wake.async_wait(asio::as_tuple(asio::use_awaitable));
    if (one->ended) co_return std::move(*one->outcome);
    if (cancelled) throw boost::system::system_error(cancelled);
    co_return queue->expire(one);
  }

  std::string venv_;
  std::shared_ptr<detail::call_queue> queue_;
  std::thread thread_;
};

}  // namespace etl::python
