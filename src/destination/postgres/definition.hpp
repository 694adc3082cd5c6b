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
  std::string primary_key;  // the constraint's name; empty: none
  std::vector<std::string> primary_key_columns;
};

// A statement that changes a table, and what may be tried in its place when the server refuses it.
struct alteration {
  std::string sql;
  std::string otherwise;
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

// The statements that do to the destination's table, which has the relation's name by now, what the source did to its
// own between `before` and `table`: columns are dropped, renamed, and given another type, and the primary key moves.
// What is only to be added is left to fit_table(). Columns that this pipeline did not make stay out of it.
// `copied_again`: a value that has no form in its new type may go, since every row is going to be written once more.
[[nodiscard]] result<std::vector<alteration>> follow_change(model::relation const& before, model::relation const& table,
                                                            existing_table const& existing, known_types const& types,
                                                            bool copied_again);
// Whether a table that was made for `before` can take the rows of another one, once it is empty.
[[nodiscard]] bool made_alike(model::relation const& before, model::relation const& table);

// The ALTER TABLE statements after which `existing` takes the relation's rows: missing columns are added (nullable;
// rows that are there get the value that the source's have), NOT NULL goes where rows may lack a value. What cannot be
// mended without losing something is an error that says which SQL would: `destination.not_a_table`,
// `destination.column_type`, `destination.column_generated`, `destination.column_not_generated`,
// `destination.key_missing`.
[[nodiscard]] result<std::vector<std::string>> fit_table(model::relation const& table, existing_table const& existing,
                                                         known_types const& types);

}  // namespace etl::destination::postgres
