#pragma once

#include "cli/commands.hpp"

namespace etl::cli {

// `etl-stream run`: returns its exit code. Blocks until the pipelines are stopped.
[[nodiscard]] int run(run_arguments const& arguments);

}  // namespace etl::cli
