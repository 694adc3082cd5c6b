#pragma once

#include <memory>

#include "config/pipeline_config.hpp"
#include "destination/destination.hpp"
#include "destination/factory.hpp"

namespace etl::destination {

// The destination that the configuration asks for, not yet open.
[[nodiscard]] result<std::unique_ptr<destination>> make_snowflake(config::pipeline_config const& pipeline,
                                                                  dependencies const& around);

}  // namespace etl::destination
