#pragma once

#include "model/relation.hpp"

namespace etl::destination {

// Whether every column's binary form means the same at another PostgreSQL server, so that rows may be streamed, copied
// and applied in binary: built-in types other than those that name objects by OID, arrays, ranges and multiranges of
// such, enums, domains over these. Conservative: an unknown type is sent as text.
[[nodiscard]] bool binary_transferable(model::relation const& table);

}  // namespace etl::destination
