#include "python/objects.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace etl::python {

object_slot::~object_slot() {
  if (object_ != nullptr) queue_->dispose([object = object_] { Py_DECREF(object); });
}

py::module_ load_source(std::string const& name, std::string_view source, std::string const& file) {
  auto const compiled =
      py::module_::import("builtins").attr("compile")(py::bytes(source.data(), source.size()), file, "exec");
  py::module_ made = py::reinterpret_steal<py::module_>(PyModule_New(name.c_str()));
  if (!made) throw py::error_already_set();
  made.attr("__file__") = file;
  py::module_::import("sys").attr("modules")[name.c_str()] = made;
  auto const globals = made.attr("__dict__");
  py::module_::import("builtins").attr("exec")(compiled, globals);
  return made;
}

py::module_ load_module(std::string const& file_or_name) {
  if (!file_or_name.ends_with(".py")) return py::module_::import(file_or_name.c_str());
  std::filesystem::path const path = std::filesystem::absolute(file_or_name);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    auto const missing = py::module_::import("etl_stream").attr("ConfigError");
    PyErr_SetString(missing.ptr(), ("the Python module " + path.string() + " cannot be read").c_str());
    throw py::error_already_set();
  }
  std::string const source{std::istreambuf_iterator<char>(file), {}};
  auto const search = py::module_::import("sys").attr("path");
  py::str const directory(path.parent_path().string());
  if (!search.contains(directory)) search.attr("append")(directory);
  // Not the bare name: a user's json.py must not stand in for the standard library's.
  return load_source("etl_user_" + path.stem().string(), source, path.string());
}

}  // namespace etl::python
