#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <string_view>

#include "python/interpreter.hpp"

// For those who write jobs. All of it belongs to the Python thread, where nothing else is said.
namespace etl::python {

namespace py = pybind11;

// Keeps a Python object from one call to the next. Share it between its owner and the jobs: a job whose caller was
// cancelled may run on after the owner is gone. May be made, and let go of, on every thread; the object then goes on
// the Python thread, or with the interpreter.
class object_slot {
 public:
  explicit object_slot(interpreter const& owner) : queue_(owner.queue()) {}
  object_slot(object_slot const&) = delete;
  object_slot& operator=(object_slot const&) = delete;
  ~object_slot();

  void hold(py::object kept) { object_ = kept.release().ptr(); }
  [[nodiscard]] py::handle get() const { return object_; }

 private:
  std::shared_ptr<detail::call_queue> queue_;
  PyObject* object_ = nullptr;
};

// A new module made from a source text, in sys.modules under its name. `file` is what frames name.
[[nodiscard]] py::module_ load_source(std::string const& name, std::string_view source, std::string const& file);
// A user's module: a new one from the file if the name ends in ".py" (whose directory can be imported from then on),
// else the installed one of that dotted name.
[[nodiscard]] py::module_ load_module(std::string const& file_or_name);

}  // namespace etl::python
