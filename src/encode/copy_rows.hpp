#pragma once

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"
#include "pgoutput/message.hpp"

// Rows as tuples of COPY's binary format (PostgreSQL manual, COPY, "Binary Format", Tuples): an Int16 that counts the
// fields, then for each its Int32 length and its bytes, big-endian. The values are in whichever format the source sent
// them, text or binary.
namespace etl::encode {

// Lengths that stand for no bytes. The second is our own, between rooms of this program: no server may see it.
inline constexpr std::int32_t copy_null = -1;
inline constexpr std::int32_t copy_unchanged = -2;

// Appends one row: insert, update and copy as a tuple of all columns; remove as a tuple of the key's columns alone, in
// key order, and of all columns where the table has no key; rekey as the tuple of the old key, and behind it that of
// the new row. Errors: data.no_key for a rekey of a table without a key; severity `bug` for a row that does not fit the
// relation. Then nothing was appended.
[[nodiscard]] result<void> encode_copy_row(buffer& out, model::relation const& table, model::operation kind,
                                           pgoutput::tuple old_values, pgoutput::tuple new_row);

}  // namespace etl::encode
