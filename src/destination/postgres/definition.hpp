#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/relation.hpp"

namespace etl::destination::postgres {

// A table as the destination's catalog has it.
struct existing_table {
  struct column {
    std::string name;
    std::string type;  // format_type()
    bool not_null = false;
    bool has_default = false;  // or is an identity
    bool generated = false;
    bool identity = false;
    bool always_identity = false;  // GENERATED ALWAYS
  };
  char kind = 'r';  // pg_class.relkind
  std::vector<column> columns;
  // The columns of every index that ON CONFLICT can use: unique, immediate, valid, whole, without expressions.
  std::vector<std::vector<std::string>> unique_keys;
};

// Which of a relation's types the destination has, by name.
struct known_types {
  std::vector<std::string> names;

  [[nodiscard]] bool has(std::string const& name) const;
};

// The types of a relation's columns, each once.
[[nodiscard]] std::vector<std::string> wanted_types(model::relation const& table);

// Whether the relation has columns that `existing` has not.
[[nodiscard]] bool lacks_columns(model::relation const& table, existing_table const& existing);

// The CREATE TABLE that fits a relation. A type that the destination lacks after make_types() is
// `destination.type_missing`. Columns that the source computes are stored ones that are computed
// alike.
[[nodiscard]] result<std::string> create_table(model::relation const& table, known_types const& types);

// The ALTER TABLE statements after which `existing` takes the relation's rows: missing columns are added (nullable: the
// rows that are there have no value), NOT NULL goes where rows may lack a value. What cannot be mended without losing
// something is an error that says which SQL would: `destination.not_a_table`, `destination.column_type`,
// `destination.column_generated`, `destination.column_not_generated`, `destination.key_missing`.
[[nodiscard]] result<std::vector<std::string>> fit_table(model::relation const& table, existing_table const& existing,
                                                         known_types const& types);

}  // namespace etl::destination::postgres
