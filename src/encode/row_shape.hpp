#pragma once

#include <optional>

#include "base/error.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"
#include "pgoutput/message.hpp"

namespace etl::encode {

// What makes a row unfit for any encoder: tuples that have not as many values as the relation has columns (a bug), or a
// key that is asked for where there is none. A table without a key can have its old row removed only where
// `whole_rows` says that the encoding has a form for it.
[[nodiscard]] std::optional<error> check_shape(model::relation const& table, model::operation kind,
                                               pgoutput::tuple old_values, pgoutput::tuple new_row, bool whole_rows);

}  // namespace etl::encode
