#pragma once

#include "cli/commands.hpp"

namespace etl::cli {

// `etl-stream python`: makes the virtual environment and installs into it, or says what is installed. Returns the exit
// code; a check fails when something is missing or of another version.
int python(python_arguments const& arguments);

}  // namespace etl::cli
