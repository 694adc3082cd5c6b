#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

// Makes and inspects the virtual environment, by running Python and pip: needs no interpreter in this process. Blocks.
namespace etl::python {

// A set of packages that one destination needs, with pinned versions and the hashes of their files.
struct extra {
  std::string_view name;
  std::string_view requirements;  // as pip reads them
};
[[nodiscard]] std::array<extra, 2> const& extras();

struct package {
  std::string name;
  std::string version;    // the one that is needed
  std::string installed;  // the version that is there; empty: none
};
// What an extra consists of, and what of that is in the environment.
[[nodiscard]] std::vector<package> packages_of(extra const& one, std::string const& venv);

// Makes the environment where it is missing (or of another Python, or incomplete) and installs into it; what pip has to
// say goes to standard output and error. Errors (config): `python.venv` when Python's own module for that is not
// installed, or the directory holds something else; `python.install` when pip fails.
[[nodiscard]] result<void> set_up(std::string const& venv, std::vector<extra> const& wanted);

}  // namespace etl::python
