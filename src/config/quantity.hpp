#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace etl::config {

// Bytes, from "64KiB", "1 GiB", "10MB" (powers of 1000) or "512B". Nothing when it is not that, or does not fit.
[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text);
// From "500ms", "10s", "5min" or "1h". Nothing when it is not that, or does not fit.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// The shortest text that parses to the same: "64KiB", "1500ms".
[[nodiscard]] std::string size_text(std::int64_t bytes);
[[nodiscard]] std::string duration_text(std::chrono::milliseconds time);

}  // namespace etl::config
