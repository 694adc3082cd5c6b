#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace etl::model {

// A column as the publication carries it (pgoutput Relation message), with what the catalog adds.
struct column {
  std::string name;
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  std::int16_t attribute_number = 0;  // pg_attribute.attnum; survives renames
  bool not_null = false;
  bool key = false;  // part of the relation's key, below

  // From pg_type, with domains resolved to the type below them in the base_ fields.
  std::string type_name;            // format_type(): schema-qualified where needed, ready for DDL
  std::string base_type_name;       // without the domain; equals type_name for other types
  std::uint32_t base_type_oid = 0;  // the domain's base type; equals type_oid for other types
  char type_kind = 'b';             // pg_type.typtype of the column's own type: b c d e m p r
  std::uint32_t element_oid = 0;    // pg_type.typelem of the base type when that is a true array, else 0

  // What rows have in it that are older than the column (pg_attribute.attmissingval): a default that the server has
  // not written into them. `fill` is its text; empty while has_fill: it cannot be told.
  bool has_fill = false;
  std::optional<std::string> fill;
  std::uint32_t stamp = 0;  // pg_attribute.xmin: the transaction that defined or changed the column last; 0: unknown
};

// A type that does not come with every server: what it takes to have it at another one.
struct type_definition {
  std::string schema;
  std::string name;                 // as column::type_name spells it, without modifiers
  char kind = 'b';                  // pg_type.typtype
  std::string create;               // the SQL that makes it; empty where there is none, as for an extension's types
  std::string extension;            // that it belongs to; empty: none
  std::string extension_schema;     // where that one is at the source
  std::vector<std::string> labels;  // of an enum, in order
};

// A column whose values the server computes from the row's others. They are not in the stream (before PostgreSQL 18, or
// where the publication does not ask for them), so a destination has them only where it computes them itself.
struct computed_column {
  model::column column;
  std::string expression;  // SQL, with names qualified
};

// Which old values UPDATE and DELETE carry (pg_class.relreplident).
enum class replica_identity : char { by_default = 'd', nothing = 'n', full = 'f', index = 'i' };

// A source table with its schema at one place of the stream. Immutable once published: a schema change makes a new one
// with a higher `version`. Batches and encoders of all cores share it.
struct relation {
  std::uint32_t oid = 0;
  std::uint32_t version = 0;  // counts the schemas of this relation since the process started
  std::string schema;
  std::string name;
  replica_identity identity = replica_identity::by_default;
  std::vector<column> columns;
  // Indexes into columns, in the order of the key. Comes from the catalog (replica identity index, else the primary
  // key when the identity is FULL), never from names. Empty: no usable key, rows can only be appended.
  std::vector<std::uint16_t> key;
  // Those that the columns are made of and that are not built in, each behind the ones that it is made of itself. As
  // the catalog had them when this was made: an enum may have got labels since.
  std::vector<type_definition> types;
  // Generated columns that are not among `columns`, though everything that they are computed from is.
  std::vector<computed_column> computed;

  // "schema"."name", quoted as SQL needs it; for SQL, logs and errors.
  [[nodiscard]] std::string quoted_name() const;
  // Null: there is none, or the number is 0 (not known).
  [[nodiscard]] column const* find_column(std::int16_t attribute_number) const;
};

// Whether both have the same columns as their keys, in whatever order.
[[nodiscard]] bool same_key(relation const& a, relation const& b);
// Whether the key of `table` has a column that its rows did not have before: they cannot be found by it.
[[nodiscard]] bool key_is_new(relation const& before, relation const& table);

using relation_ptr = std::shared_ptr<relation const>;

// An SQL identifier in double quotes (which words are reserved differs between versions).
[[nodiscard]] std::string quote_identifier(std::string_view name);
// An SQL string literal; E'' when it holds a backslash.
[[nodiscard]] std::string quote_literal(std::string_view text);

}  // namespace etl::model
