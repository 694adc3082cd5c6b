#pragma once

#include <string>

namespace etl::cli {

// The program's version, the compiler, and the libraries that it was built with; a line each.
[[nodiscard]] std::string version_text();

}  // namespace etl::cli
