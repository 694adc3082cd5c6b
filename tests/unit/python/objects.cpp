#include "python/objects.hpp"

#include <filesystem>

#include "python/venv.hpp"
#include "support/run_coro.hpp"
#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

namespace py = pybind11;
using namespace std::chrono_literals;
using etl::result;
using etl::test::run_coro;

TEST_CASE("an object lives in its slot from one job to the next, and goes on the Python thread") {
  etl::python::interpreter python({});
  auto slot = std::make_shared<etl::python::object_slot>(python);
  auto const kept = run_coro(python.run(
      [slot]() -> result<bool> {
        auto const made = etl::python::load_source("counting", R"(
import threading
gone_on = []
class Thing:
    def name(self): return "kept"
    def __del__(self): gone_on.append(threading.current_thread() is threading.main_thread())
)",
                                                   "counting.py");
        slot->hold(made.attr("Thing")());
        return true;
      },
      20s));
  REQUIRE(kept);
  auto const name = run_coro(
      python.run([slot]() -> result<std::string> { return py::cast<std::string>(slot->get().attr("name")()); }, 20s));
  CHECK(name.value() == "kept");
  slot.reset();
  auto const gone = run_coro(python.run(
      []() -> result<std::string> {
        return py::cast<std::string>(py::str(py::module_::import("counting").attr("gone_on")));
      },
      20s));
  CHECK(gone.value() == "[True]");
}

TEST_CASE("a slot may outlive the interpreter") {
  std::shared_ptr<etl::python::object_slot> slot;
  {
    etl::python::interpreter python({});
    slot = std::make_shared<etl::python::object_slot>(python);
    REQUIRE(run_coro(python.run(
        [slot]() -> result<bool> {
          slot->hold(py::dict());
          return true;
        },
        20s)));
  }
  slot.reset();
}

TEST_CASE("modules come from a file, or by name from the environment") {
  etl::test::temporary_directory here;
  auto const packages = here / "venv/lib/python" + etl::python::language_version() + "/site-packages";
  std::filesystem::create_directories(packages);
  etl::test::write_file(here / "venv/pyvenv.cfg", "version = " + etl::python::language_version() + ".0\n");
  etl::test::write_file(packages + "/installed.py", "who = 'installed'\n");
  etl::test::write_file(here / "json.py", "import json, beside\nwho = json.dumps(beside.who)\n");
  etl::test::write_file(here / "beside.py", "who = 'beside'\n");
  etl::python::interpreter python({.venv = here / "venv", .venv_required = true});
  auto const who = [&](std::string name) {
    return run_coro(python.run(
        [name]() -> result<std::string> { return py::cast<std::string>(etl::python::load_module(name).attr("who")); },
        20s));
  };
  CHECK(who("installed").value() == "installed");
  CHECK(who(here / "json.py").value() == "\"beside\"");
  auto const missing = who(here / "none.py");
  REQUIRE(!missing);
  CHECK(missing.error().code == "python.refused");
  CHECK(missing.error().kind == etl::severity::config);
}
