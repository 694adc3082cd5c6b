#pragma once

#include <string>

#include "model/relation.hpp"

namespace etl::model {

// A sequence of the source as it stands.
struct sequence {
  std::string schema;
  std::string name;
  std::string definition;  // as CREATE SEQUENCE and ALTER SEQUENCE take it: "AS bigint INCREMENT BY 1 …"
  std::string last_value;
  bool is_called = false;  // the last value has been handed out

  [[nodiscard]] std::string quoted_name() const { return quote_identifier(schema) + '.' + quote_identifier(name); }
};

}  // namespace etl::model
