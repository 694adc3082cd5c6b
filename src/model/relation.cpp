#include "model/relation.hpp"

namespace etl::model {

std::string quote_identifier(std::string_view name) {
  // Which words are reserved differs between versions, so every name gets its quotes.
  std::string quoted = "\"";
  for (char const c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

std::string quote_literal(std::string_view text) {
  bool const escaped = text.find('\\') != std::string_view::npos;
  std::string quoted = escaped ? " E'" : "'";
  for (char const c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  quoted += '\'';
  return quoted;
}

std::string relation::quoted_name() const { return quote_identifier(schema) + '.' + quote_identifier(name); }

}  // namespace etl::model
