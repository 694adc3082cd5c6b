#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

// Values as PostgreSQL's output functions write them with pg::canonical_text_settings() (ISO dates, UTC, intervals in
// the style `postgres`), as numbers. Nothing allocates. All functions return nothing for a text of another form, and
// where the value does not fit the result.
namespace etl::encode {

template <class Integer>
[[nodiscard]] std::optional<Integer> parse_integer(std::string_view text);
// float4 and float8, with NaN and the infinities.
template <class Float>
[[nodiscard]] std::optional<Float> parse_float(std::string_view text);

// The digits of a numeric as an integer of `scale` digits behind the point, when all of them fit into `precision`.
// Nothing for NaN and the infinities.
[[nodiscard]] std::optional<__int128> parse_decimal(std::string_view text, unsigned precision, unsigned scale);

// Dates and timestamps may be `infinity` and `-infinity`, which are no numbers.
enum class infinity : std::int8_t { none, positive, negative };
[[nodiscard]] infinity infinity_in(std::string_view text);

// Days since 1970-01-01 in the proleptic Gregorian calendar.
[[nodiscard]] std::optional<std::int32_t> parse_date(std::string_view text);
// Microseconds since midnight; 24:00:00 is one of the type's values.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text);
// Microseconds since 1970-01-01 00:00, of a timestamp, or in UTC of a timestamptz. The type's last 29 years (294247 to
// 294276) do not fit.
[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text);

struct interval_value {
  std::int32_t months = 0;
  std::int32_t days = 0;
  std::int64_t microseconds = 0;
  friend bool operator==(interval_value const&, interval_value const&) = default;
};
[[nodiscard]] std::optional<interval_value> parse_interval(std::string_view text);

[[nodiscard]] std::optional<std::array<char, 16>> parse_uuid(std::string_view text);

// bytea in the format `hex`: the number of bytes, and the bytes themselves into `out`, which has room for them.
[[nodiscard]] std::optional<std::size_t> bytea_size(std::string_view text);
[[nodiscard]] bool parse_bytea(std::string_view text, char* out);

}  // namespace etl::encode
