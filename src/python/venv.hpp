#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"

namespace etl::python {

// "3.11": the Python that this program was built with, and that a virtual environment has to be of.
[[nodiscard]] std::string language_version();

// Where `etl-stream python setup` makes the environment, and where a pipeline looks for it if it names none:
// $XDG_DATA_HOME/etl-stream/venv, or ~/.local/share/etl-stream/venv. Empty where the user has no home.
[[nodiscard]] std::string default_venv();

struct venv_facts {
  std::string packages;          // the directory of its packages
  bool system_packages = false;  // it was made to see the system's, too
};

// Reads pyvenv.cfg. Nothing: there is no environment at `path`. Errors: `python.venv` (config) for one of another
// Python, or a file that cannot be read.
[[nodiscard]] result<std::optional<venv_facts>> look_at_venv(std::string const& path);

}  // namespace etl::python
