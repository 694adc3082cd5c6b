#pragma once

#include <cstddef>
#include <cstdint>

namespace etl::encode {

inline constexpr std::size_t timestamp_size = 27;

// `time`, in microseconds since 2000-01-01 UTC, as RFC 3339 has it: 2026-01-02T03:04:05.123456Z. False, and nothing is
// written, for years that take more or less than four digits.
[[nodiscard]] bool write_timestamp(char* out, std::int64_t time);

}  // namespace etl::encode
