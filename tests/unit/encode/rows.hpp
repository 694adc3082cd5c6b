#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/relation.hpp"
#include "pgoutput/message.hpp"

// Rows and relations as literals. A row borrows nothing: values are kept in exactly as many bytes as they have, so that
// the address sanitizer sees a read beyond them.
namespace etl {

struct unchanged_value {};
struct binary_value {
  std::string bytes;
};

class test_row {
 public:
  struct cell {
    cell(char const* text) : kind(pgoutput::value_kind::text), data(text) {}
    cell(std::string text) : kind(pgoutput::value_kind::text), data(std::move(text)) {}
    cell(std::nullptr_t) : kind(pgoutput::value_kind::null) {}
    cell(unchanged_value) : kind(pgoutput::value_kind::unchanged) {}
    cell(binary_value value) : kind(pgoutput::value_kind::binary), data(std::move(value.bytes)) {}

    pgoutput::value_kind kind;
    std::string data;
  };

  test_row() = default;
  test_row(std::vector<cell> const& cells) {
    for (auto const& c : cells) {
      bytes_.push_back(std::make_unique<char[]>(c.data.size()));
      std::copy(c.data.begin(), c.data.end(), bytes_.back().get());
      values_.push_back({c.kind, {bytes_.back().get(), c.data.size()}});
    }
  }
  operator pgoutput::tuple() const { return values_; }

 private:
  std::vector<std::unique_ptr<char[]>> bytes_;
  std::vector<pgoutput::value> values_;
};

inline model::relation make_relation(std::vector<std::pair<std::string, std::uint32_t>> const& columns,
                                     std::vector<std::uint16_t> key) {
  model::relation made;
  made.oid = 16384;
  made.schema = "public";
  made.name = "orders";
  for (auto const& [name, type] : columns) {
    made.columns.push_back({.name = name, .type_oid = type, .base_type_oid = type});
  }
  made.key = std::move(key);
  return made;
}

}  // namespace etl
