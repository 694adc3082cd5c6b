#pragma once

#include <optional>

#include "base/error.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"
#include "pgoutput/message.hpp"

namespace etl::encode {

// What makes a row unfit for any encoder: tuples that have not as many values as the relation has columns (a bug), or a
// key that is asked for where there is none. (Without a key a removal holds the whole old row.)
[[nodiscard]] std::optional<error> check_shape(model::relation const& table, model::operation kind,
                                               pgoutput::tuple old_values, pgoutput::tuple new_row);

}  // namespace etl::encode
