#include <fmt/format.h>
#include <pybind11/pybind11.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "python/interpreter.hpp"

namespace etl::python::detail {
namespace {

namespace py = pybind11;

std::string text_of(py::handle object) {
  try {
    return py::cast<std::string>(py::str(object));
  } catch (std::exception const&) {  // a __str__ that raises, or text that is not UTF-8
    return "";
  }
}

// An attribute as text; empty when there is none.
std::string attribute(py::handle object, char const* name) {
  auto const value = py::getattr(object, name, py::none());
  return value.is_none() ? "" : text_of(value);
}

// "destination.py:12 in write", the innermost first, as far out as tells something.
std::string last_frames(py::handle trace) {
  constexpr std::size_t most = 3;
  std::vector<std::string> frames;
  for (auto at = py::reinterpret_borrow<py::object>(trace); at && !at.is_none(); at = at.attr("tb_next")) {
    auto const code = at.attr("tb_frame").attr("f_code");
    auto const file = std::filesystem::path(attribute(code, "co_filename")).filename().string();
    frames.push_back(fmt::format("{}:{} in {}", file, attribute(at, "tb_lineno"), attribute(code, "co_name")));
  }
  std::string text;
  for (std::size_t i = 0; i < frames.size() && i < most; ++i) {
    text += (i == 0 ? " at " : ", from ") + frames[frames.size() - 1 - i];
  }
  return text;
}

// Which command installs a package: ours for those that we pin.
std::string how_to_install(std::string_view package, std::string const& venv) {
  if (package == "duckdb") return fmt::format("Run: etl-stream python setup --venv {} duckdb", venv);
  if (package == "snowflake" || package == "msgspec") {
    return fmt::format("Run: etl-stream python setup --venv {} snowflake", venv);
  }
  return fmt::format("If it is a package: {}/bin/pip install it; else check the import.", venv);
}

error missing_package(py::handle raised, std::string const& frames, std::string const& venv) {
  auto const whole = attribute(raised, "name");
  auto const package = whole.substr(0, whole.find('.'));
  auto const where = venv.empty() ? "the system's Python packages" : venv;
  return {severity::config, "python.package",
          fmt::format("the Python package {} is not in {}: {}{}", package, where,
                      text_of(py::type::of(raised).attr("__name__")), frames),
          venv.empty() ? "Name a virtual environment as [python] venv." : how_to_install(package, venv)};
}

// Raised by a script on purpose, with words that are meant for the log.
error in_own_words(py::handle raised) {
  error told{severity::retry, "python.failed", text_of(raised), attribute(raised, "hint")};
  if (py::object const cause = py::getattr(raised, "__cause__", py::none()); !cause.is_none()) {
    told.server_text = text_of(cause);
  }
  auto const kind = attribute(raised, "severity");
  if (kind == "config") {
    told.kind = severity::config;
    told.code = "python.refused";
  } else if (kind == "data") {
    told.kind = severity::data;
    told.code = "python.data";
  }
  return told;
}

error describe(py::error_already_set& thrown, std::string const& venv) {
  auto const raised = thrown.value();
  if (thrown.matches(py::module_::import("etl_stream").attr("Error"))) return in_own_words(raised);
  auto const type = text_of(thrown.type().attr("__name__"));
  auto const frames = last_frames(thrown.trace());
  if (thrown.matches(PyExc_ModuleNotFoundError)) return missing_package(raised, frames, venv);
  if (thrown.matches(PyExc_ImportError)) {
    return {.kind = severity::config,
            .code = "python.package",
            .message = fmt::format("a Python package cannot be loaded: {}{}", type, frames),
            .hint = "Install it anew: it may have been made for another version of Python.",
            .server_text = text_of(raised)};
  }
  if (thrown.matches(PyExc_SyntaxError)) {
    return {.kind = severity::config,
            .code = "python.script",
            .message = fmt::format("{} in {}:{}", type, attribute(raised, "filename"), attribute(raised, "lineno")),
            .server_text = text_of(raised)};
  }
  return {.kind = severity::retry,
          .code = "python.exception",
          .message = fmt::format("Python raised {}{}", type, frames),
          .hint = "What the exception says may quote rows; the log shows it at debug level.",
          .server_text = text_of(raised)};
}

}  // namespace

error describe_exception(std::string const& venv) {
  try {
    throw;
  } catch (py::error_already_set& thrown) {
    try {
      return describe(thrown, venv);
    } catch (std::exception const&) {
      return {severity::retry, "python.exception", "Python raised an exception that cannot be described"};
    }
  } catch (std::exception const& thrown) {
    return {.kind = severity::bug,
            .code = "python.exception",
            .message = "a call into Python failed on this program's side",
            .server_text = thrown.what()};
  }
}

}  // namespace etl::python::detail
