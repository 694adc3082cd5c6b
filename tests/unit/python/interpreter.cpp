#include "python/interpreter.hpp"

#include <pybind11/pybind11.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>

#include "support/run_coro.hpp"
#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
namespace py = pybind11;
using namespace std::chrono_literals;
using etl::result;
using etl::test::run_coro;

namespace {

// A job that runs a script, and returns what the script leaves in `answer`.
auto script(std::string text) {
  return [text = std::move(text)]() -> result<std::string> {
    py::dict scope;
    scope["__builtins__"] = py::module_::import("builtins");
    auto const builtins = py::module_::import("builtins");
    builtins.attr("exec")(builtins.attr("compile")(text, "script.py", "exec"), scope);
    return scope.contains("answer") ? py::cast<std::string>(py::str(scope["answer"])) : std::string();
  };
}

result<std::string> run(etl::python::interpreter& python, std::string text,
                        std::chrono::steady_clock::duration limit = 20s) {
  return run_coro(python.run(script(std::move(text)), limit));
}

}  // namespace

TEST_CASE("a job runs on the Python thread and its outcome comes back") {
  etl::python::interpreter python({});
  CHECK(run(python, "import threading\nanswer = threading.current_thread() is threading.main_thread()").value() ==
        "True");
  CHECK(run(python, "import sys\nanswer = sys.flags.isolated, sys.flags.utf8_mode").value() == "(1, 1)");
  auto const refused =
      run_coro(python.run([]() -> result<int> { return etl::error{etl::severity::data, "x", "y"}; }, 9s));
  REQUIRE(!refused);
  CHECK(refused.error().code == "x");
  CHECK(python.stop(20s));
  auto const late = run(python, "");
  REQUIRE(!late);
  CHECK(late.error().code == "python.stopped");
}

TEST_CASE("what a script raises becomes an error without what it says") {
  etl::python::interpreter python({.venv = "/opt/none"});
  struct {
    char const* text;
    etl::severity kind;
    char const* code;
    char const* message;
    char const* hint;  // the beginning
    char const* server_text;
  } const cases[] = {
      {"def inner():\n  raise ValueError('row 7')\ninner()", etl::severity::retry, "python.exception",
       "Python raised ValueError at script.py:2 in inner, from script.py:3 in <module>", "", "row 7"},
      {"import duckdb_", etl::severity::config, "python.package",
       "the Python package duckdb_ is not in /opt/none: ModuleNotFoundError at script.py:1 in <module>",
       "If it is a package: /opt/none/bin/pip install it", ""},
      {"import snowflake.ingest", etl::severity::config, "python.package",
       "the Python package snowflake is not in /opt/none: ModuleNotFoundError at script.py:1 in <module>",
       "Run: etl-stream python setup --venv /opt/none snowflake", ""},
      {"x = = 1", etl::severity::config, "python.script", "SyntaxError in script.py:1", "", nullptr},
      {"import etl_stream\nraise etl_stream.Error('the far end sleeps')", etl::severity::retry, "python.failed",
       "the far end sleeps", "", ""},
      {"import etl_stream\nraise etl_stream.ConfigError('no such file', 'make it')", etl::severity::config,
       "python.refused", "no such file", "make it", ""},
      {"import etl_stream\nraise etl_stream.DataError('column a cannot be stored')", etl::severity::data, "python.data",
       "column a cannot be stored", "", ""},
      {"class Mute(Exception):\n  def __str__(self): raise RuntimeError\nraise Mute", etl::severity::retry,
       "python.exception", "Python raised Mute at script.py:3 in <module>", "", ""},
  };
  for (auto const& c : cases) {
    CAPTURE(c.text);
    auto const outcome = run(python, c.text);
    REQUIRE(!outcome);
    auto const& failure = outcome.error();
    CHECK(failure.kind == c.kind);
    CHECK(failure.code == c.code);
    CHECK(failure.message == c.message);
    CHECK(failure.hint.starts_with(c.hint));
    if (c.server_text != nullptr) CHECK(failure.server_text == c.server_text);
  }
}

// ThreadSanitizer keeps signals back until the thread makes a call that it knows, which a loop of Python's never does.
#if defined(__has_feature) && __has_feature(thread_sanitizer)
constexpr auto busy_script = "import time\nwhile True: time.sleep(0)";
#else
constexpr auto busy_script = "while True: pass";
#endif

TEST_CASE("a script beyond its deadline is interrupted, and the next one runs") {
  etl::python::interpreter python({});
  for (auto const* const text : {
           busy_script,
           "import time\ntime.sleep(1000)",
           "import socket\na, b = socket.socketpair()\na.recv(1)",
           "import threading\nthreading.Event().wait()",
       }) {
    CAPTURE(text);
    auto const stuck = run(python, text, 50ms);
    REQUIRE(!stuck);
    CHECK(stuck.error().code == "python.stuck");
    CHECK(stuck.error().kind == etl::severity::retry);
    CHECK(run(python, "answer = sum(range(100000))").value() == "4999950000");
  }
}

TEST_CASE("a cancelled caller goes on at once, and its job is dropped or left to end") {
  etl::python::interpreter python({});
  auto const shared = std::make_shared<std::atomic<int>>(0);
  asio::io_context context(1);
  auto const body = [&]() -> asio::awaitable<void> {
    auto const executor = co_await asio::this_coro::executor;
    // The first runs until the test lets it go, the second waits behind it.
    auto const first = [shared]() -> result<int> {
      *shared = 1;
      py::gil_scoped_release const unlocked;
      shared->wait(1);
      return 0;
    };
    auto const second = [shared]() -> result<int> { return shared->fetch_add(100); };
    auto const call = [&](auto job) -> asio::awaitable<void> { (void)co_await python.run(job, 20s); };
    asio::cancellation_signal stops[2];
    bool ends[2] = {};
    asio::co_spawn(executor, call(first), asio::bind_cancellation_slot(stops[0].slot(), [&](auto) { ends[0] = true; }));
    asio::co_spawn(executor, call(second),
                   asio::bind_cancellation_slot(stops[1].slot(), [&](auto) { ends[1] = true; }));
    while (*shared != 1) co_await etl::test::let_others_run(1);
    stops[0].emit(asio::cancellation_type::terminal);
    stops[1].emit(asio::cancellation_type::terminal);
    co_await etl::test::let_others_run();
    CHECK(ends[0]);
    CHECK(ends[1]);
    *shared = 2;
    shared->notify_all();
    auto const after = co_await python.run([shared]() -> result<int> { return shared->load(); }, 20s);
    CHECK(after.value() == 2);  // the second never ran
  };
  run_coro(context, body());
}

TEST_CASE("a script whose caller was cancelled is interrupted") {
  etl::python::interpreter python({});
  asio::io_context context(1);
  auto const begun = std::make_shared<std::atomic<bool>>(false);
  auto const body = [&]() -> asio::awaitable<void> {
    auto const executor = co_await asio::this_coro::executor;
    asio::cancellation_signal stop;
    bool ended = false;
    auto const hang = [&]() -> asio::awaitable<void> {
      auto const job = [begun, forever = script("import time\ntime.sleep(1000)")]() -> result<std::string> {
        *begun = true;
        return forever();
      };
      (void)co_await python.run(job, 1000s);
    };
    asio::co_spawn(executor, hang(), asio::bind_cancellation_slot(stop.slot(), [&](auto) { ended = true; }));
    while (!*begun) co_await etl::test::let_others_run(1);
    stop.emit(asio::cancellation_type::terminal);
    while (!ended) co_await etl::test::let_others_run(1);
    auto const after = co_await python.run(script("answer = 2"), 20s);
    CHECK(after.value() == "2");
  };
  run_coro(context, body());
}

TEST_CASE("stopping waits for a script that was interrupted") {
  etl::python::interpreter python({});
  (void)run(python, busy_script, 50ms);
  CHECK(python.stop(20s));
}

TEST_CASE("stopping gives up a script that cannot be interrupted") {
  // A thread that was given up stays in the interpreter: in a process of its own.
  auto const child = ::fork();
  if (child == 0) {
    etl::python::interpreter python({});
    (void)run(python, "");  // the interpreter is up
    (void)run(python, "import signal\nsignal.signal(signal.SIGRTMIN + 7, lambda *_: None)\nwhile True: pass", 500ms);
    ::_exit(python.stop(400ms) ? 10 : 11);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 11);
}

TEST_CASE("an environment that is missing or another Python's is what every call says") {
  etl::test::temporary_directory here;
  {
    etl::python::interpreter python({.venv = here / "none", .venv_required = true});
    auto const outcome = run(python, "answer = 1");
    REQUIRE(!outcome);
    CHECK(outcome.error().code == "python.venv");
    CHECK(outcome.error().hint == "Run: etl-stream python setup --venv " + here / "none");
  }
  {
    etl::python::interpreter python({.venv = here / "none"});
    CHECK(run(python, "answer = 1").value() == "1");
  }
  std::filesystem::create_directory(here / "old");
  etl::test::write_file(here / "old/pyvenv.cfg", "home = /usr/bin\nversion = 3.6.9\n");
  etl::python::interpreter python({.venv = here / "old"});
  auto const outcome = run(python, "answer = 1");
  REQUIRE(!outcome);
  CHECK(outcome.error().code == "python.venv");
  CHECK(outcome.error().kind == etl::severity::config);
}
