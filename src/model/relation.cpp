#include "model/relation.hpp"

#include <algorithm>

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

column const* relation::find_column(std::int16_t attribute_number) const {
  if (attribute_number == 0) return nullptr;
  auto const at = std::ranges::find(columns, attribute_number, &column::attribute_number);
  return at == columns.end() ? nullptr : &*at;
}

bool same_key(relation const& a, relation const& b) {
  auto const numbers = [](relation const& table) {
    std::vector<std::int16_t> found;
    for (auto const place : table.key) found.push_back(table.columns[place].attribute_number);
    std::ranges::sort(found);
    return found;
  };
  return numbers(a) == numbers(b);
}

bool key_is_new(relation const& before, relation const& table) {
  return std::ranges::any_of(
      table.key, [&](auto place) { return before.find_column(table.columns[place].attribute_number) == nullptr; });
}

}  // namespace etl::model
