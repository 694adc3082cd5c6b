#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Numbers and names as people read them on a terminal.
namespace etl::cli {

// "9999", "12.3k", "1.20M", "3.00G".
[[nodiscard]] std::string human_count(std::uint64_t count);
// "512 B", "1.50 KiB", "310 MiB".
[[nodiscard]] std::string human_bytes(double bytes);
// "0:07", "12:30", "3h05m", "12h": five columns at most below a hundred hours.
[[nodiscard]] std::string human_time(std::chrono::seconds time);

// Control characters, which a terminal would obey, replaced by question marks.
[[nodiscard]] std::string printable(std::string_view text);
// Columns of UTF-8 text, taking every code point as one.
[[nodiscard]] std::size_t columns(std::string_view text);
// `text`, cut to `width` columns (the last becomes "…") or filled up with spaces.
[[nodiscard]] std::string fitted(std::string_view text, std::size_t width);

}  // namespace etl::cli
