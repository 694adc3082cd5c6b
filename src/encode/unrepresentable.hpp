#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/relation.hpp"

namespace etl::encode {

// What becomes of values that a destination has no way to write, such as NaN as a JSON number.
enum class unrepresentable : std::uint8_t {
  error,  // data.unrepresentable, data.beyond_range: their table stops
  null,
  text,  // a string, "NaN": nothing is lost. Where the column's type takes no text, as `error`
};

struct unrepresentable_policies {
  // One column with a policy of its own, by its names at the source.
  struct exception {
    std::string schema;
    std::string table;
    std::string column;
    unrepresentable policy = unrepresentable::error;
  };

  unrepresentable otherwise = unrepresentable::text;
  std::vector<exception> exceptions;

  // Never `null` for a column of the key: rows would become one.
  [[nodiscard]] unrepresentable of(model::relation const& table, std::size_t column) const;
};

// How a user changes the policy of one column: [destination.columns.'"public"."t"."c"'].
[[nodiscard]] std::string policy_section(model::relation const& table, std::size_t column);

}  // namespace etl::encode
