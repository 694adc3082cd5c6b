#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/relation.hpp"

namespace etl::encode {

// A column's type in Arrow's terms.
struct arrow_type {
  enum class kind : std::uint8_t {
    boolean,
    int16,
    int32,
    int64,
    uint32,
    float32,
    float64,
    decimal,   // 128 bits, with precision and scale
    text,      // with 64-bit offsets
    json,      // text with the extension type arrow.json
    binary,    // with 64-bit offsets
    date,      // days since 1970-01-01
    time,      // microseconds of the day
    local,     // timestamp without time zone, microseconds
    instant,   // timestamp in UTC, microseconds
    interval,  // months, days, nanoseconds
    uuid,      // 16 bytes with the extension type arrow.uuid
    list,      // of `element`
    record,    // of other columns; no type of PostgreSQL becomes one
  };

  kind what = kind::text;
  kind element = kind::text;  // of a list
  std::uint8_t precision = 0;
  std::uint8_t scale = 0;

  friend bool operator==(arrow_type const&, arrow_type const&) = default;
  [[nodiscard]] arrow_type element_type() const { return {element, kind::text, precision, scale}; }
  // As the C data interface spells it ("Data type description -- format strings"): "d:10,2".
  [[nodiscard]] std::string format() const;
  // Of an extension type, else empty.
  [[nodiscard]] std::string_view extension() const;
  // For people and scripts: "decimal128(10, 2)", "list<int32>", "timestamp[us, UTC]".
  [[nodiscard]] std::string to_text() const;
};

// What values of a column become. Types without a counterpart stay text as PostgreSQL writes it; so do numerics without
// a precision or with one above 38, since no other form has all their digits, and arrays whose elements would be such.
[[nodiscard]] arrow_type arrow_type_of(model::column const& column);

}  // namespace etl::encode
