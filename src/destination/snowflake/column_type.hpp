#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/relation.hpp"

namespace etl::destination::snowflake {

// A column's type at Snowflake.
struct column_type {
  enum class family : std::uint8_t {
    number,
    real,
    text,
    boolean,
    date,
    time,
    timestamp_ntz,
    timestamp_tz,
    binary,
    variant,
    geography,
    geometry,
  };
  static constexpr int most_digits = 38;

  family kind = family::text;
  int precision = 0;  // of numbers
  int scale = 0;
  std::int64_t length = 0;  // of texts and binaries; zero: the most that there is

  friend bool operator==(column_type const&, column_type const&) = default;
  // For DDL.
  [[nodiscard]] std::string sql() const;
};

// Which type takes every value of a source column (docs/snowflake.md has the table). A numeric without a precision, or
// with more than 38 digits, becomes text: no number of Snowflake's holds it.
[[nodiscard]] column_type type_for(model::column const& column);
// What DESCRIBE TABLE calls a type, "NUMBER(38,0)"; nothing for types that this program never makes.
[[nodiscard]] std::optional<column_type> parse_type(std::string_view described);

enum class fitness : std::uint8_t { fits, can_be_widened, does_not_fit };
// Whether a column of type `existing` takes every value of a `wanted`. Widening: ALTER COLUMN … SET DATA TYPE.
[[nodiscard]] fitness fits(column_type const& existing, column_type const& wanted);

// Whether PostgreSQL may leave the column's value out of an UPDATE because it is stored out of line and unchanged.
[[nodiscard]] bool may_be_unchanged(model::column const& column);

}  // namespace etl::destination::snowflake
