#pragma once

#include "cli/commands.hpp"

namespace etl::cli {

// Looks at the servers of the files, or at the one server, and prints what their slots hold back. Blocks; returns the
// exit code.
[[nodiscard]] int lag(lag_arguments const& arguments);

}  // namespace etl::cli
