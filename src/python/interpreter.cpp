#include "python/interpreter.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <pybind11/embed.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.hpp"
#include "python/etl_stream_module.hpp"
#include "python/objects.hpp"
#include "python/venv.hpp"

namespace etl::python {
namespace {

constexpr std::size_t most_waiting = 1024;
constexpr auto stop_by_itself = std::chrono::seconds(5);

// Python's own way to end a script is SIGINT, but that one belongs to the program. A signal that nobody else uses, with
// Python's handler, sent to the one thread, also ends a call that sleeps or waits for a socket.
int interrupt_signal() { return SIGRTMIN + 7; }

// The thread that made this one may be bound to a core.
void wander() {
  cpu_set_t allowed;
  if (sched_getaffinity(::getpid(), sizeof allowed, &allowed) == 0) {
    (void)sched_setaffinity(0, sizeof allowed, &allowed);
  }
}

error start_failure(std::string why) {
  return {severity::config,
          "python.start",
          "the Python interpreter does not start",
          "Is Python's standard library (package libpython3-stdlib) installed?",
          {},
          {},
          0,
          std::move(why)};
}

// Isolated: neither PYTHON* variables nor a user's site-packages have a say in what a service runs.
std::optional<error> initialize() {
  PyPreConfig before;
  PyPreConfig_InitIsolatedConfig(&before);
  before.utf8_mode = 1;
  if (auto const status = Py_PreInitialize(&before); PyStatus_Exception(status) != 0) {
    return start_failure(status.err_msg);
  }
  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;
  // Where the standard library is looked for, and what scripts see as sys.executable.
  auto status = PyConfig_SetBytesString(&config, &config.program_name, ETL_PYTHON);
  if (PyStatus_Exception(status) == 0) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status) != 0) return start_failure(status.err_msg == nullptr ? "" : status.err_msg);
  return std::nullopt;
}

void prepare(std::optional<venv_facts> const& venv) {
  auto const signal = py::module_::import("signal");
  signal.attr("signal")(interrupt_signal(), signal.attr("default_int_handler"));
  auto const site = py::module_::import("site");
  if (venv) site.attr("addsitedir")(venv->packages);
  if (!venv || venv->system_packages) site.attr("main")();
  (void)load_source("etl_stream", etl_stream_module, "etl_stream.py");
}

detail::call_queue::assignment next_of(detail::call_queue& queue) {
  auto* const unlocked = PyEval_SaveThread();
  auto next = queue.take();
  PyEval_RestoreThread(unlocked);
  return next;
}

// An interruption that came when the call had just ended must not hit the next one.
void swallow_interruption() {
  sched_yield();  // a signal that was sent to this thread is handled when a system call returns
  while (PyErr_CheckSignals() != 0) PyErr_Clear();
}

void carry_out(detail::call_queue& queue) {
  queue.served_by(pthread_self());
  for (;;) {
    auto const [disposals, next] = next_of(queue);
    if (disposals.empty() && !next) return;
    for (auto const& dispose : disposals) dispose();
    if (!next) continue;
    next->execute();
    if (queue.finish(next)) swallow_interruption();
  }
}

void refuse_all(detail::call_queue& queue, error const& why) {
  for (;;) {
    auto const [disposals, next] = queue.take();
    if (disposals.empty() && !next) return;
    if (!next) continue;
    next->refuse(why);
    (void)queue.finish(next);
  }
}

void run_python(detail::call_queue& queue, std::optional<venv_facts> const& venv) {
  if (auto const failure = initialize()) return refuse_all(queue, *failure);
  std::optional<error> failure;
  try {
    prepare(venv);
  } catch (std::exception const& thrown) {
    failure = start_failure(thrown.what());
  }
  if (failure) {
    refuse_all(queue, *failure);
  } else {
    carry_out(queue);
  }
  py::finalize_interpreter();
}

void serve(detail::call_queue& queue, options const& how) {
  pthread_setname_np(pthread_self(), "python");
  wander();
  auto const venv = how.venv.empty() ? result<std::optional<venv_facts>>(std::nullopt) : look_at_venv(how.venv);
  if (!venv) {
    refuse_all(queue, venv.error());
  } else if (!*venv && how.venv_required) {
    refuse_all(queue, {severity::config, "python.venv",
                       fmt::format("there is no virtual environment of Python's at {}", how.venv),
                       fmt::format("Run: etl-stream python setup --venv {}", how.venv)});
  } else {
    run_python(queue, *venv);
  }
  queue.served();
}

}  // namespace

interpreter::interpreter(options how)
    : venv_(how.venv), queue_(std::make_shared<detail::call_queue>(most_waiting, interrupt_signal())) {
  thread_ = std::thread([queue = queue_, how = std::move(how)] { serve(*queue, how); });
}

interpreter::~interpreter() {
  if (thread_.joinable() && !stop(stop_by_itself)) log::warning("the thread that runs Python does not end");
}

bool interpreter::stop(std::chrono::steady_clock::duration limit) {
  auto const now = std::chrono::steady_clock::now();
  queue_->stop();
  if (!queue_->wait_served(now + limit / 2)) queue_->interrupt_all();
  if (!queue_->wait_served(now + limit)) {
    queue_->abandon();
    thread_.detach();
    return false;
  }
  thread_.join();
  return true;
}

}  // namespace etl::python
