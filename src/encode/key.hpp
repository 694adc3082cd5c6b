#pragma once

#include <cstdint>
#include <span>

#include "model/key_hash.hpp"
#include "pgoutput/message.hpp"

namespace etl::encode {

// The hash (XXH3, 128 bits) of a row's key: of its values' lengths and bytes, in the order of `key`, which holds
// indexes into `row`. Columns outside the key do not matter, so a row and the old key of its UPDATE or DELETE, where
// they are null, hash alike. Rows to be compared must come in the same transfer format (text or binary).
[[nodiscard]] model::key_hash hash_key(pgoutput::tuple row, std::span<std::uint16_t const> key);

}  // namespace etl::encode
