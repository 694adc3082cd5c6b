#include "pg/type_definitions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace etl::pg {
namespace {

// PostgreSQL's own objects have OIDs below this (access/transam.h, FirstNormalObjectId).
constexpr std::uint32_t first_user_oid = 16'384;

// One row for each column type ($1) and type that it is made of, the innermost first. Arrays and multiranges come with
// the types that they belong to. Without what does not change a value's form: a domain's constraints, which rows in the
// middle of a transaction may break and which the source has checked, collations of texts, and a range's functions.
// A range keeps operator class and collation, by which its bounds are in order.
constexpr std::string_view definitions_sql = R"(
WITH RECURSIVE needed(root, oid, depth) AS (
  SELECT root, root, 0 FROM unnest($1::oid[]) AS root
  UNION
  SELECT needed.root, inner_type.oid, needed.depth + 1
  FROM needed JOIN pg_type AS t ON t.oid = needed.oid
  CROSS JOIN LATERAL (
    SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL SELECT t.typelem WHERE t.typelem <> 0
    UNION ALL SELECT r.rngsubtype FROM pg_range AS r WHERE r.rngtypid = t.oid
    UNION ALL SELECT r.rngtypid FROM pg_range AS r WHERE r.rngmultitypid = t.oid
    UNION ALL SELECT a.atttypid FROM pg_attribute AS a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS inner_type(oid)
  WHERE inner_type.oid >= 16384
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                    WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
)
SELECT needed.root, t.oid, n.nspname, format_type(t.oid, NULL), t.typtype, e.extname, en.nspname, CASE
    WHEN e.oid IS NOT NULL THEN NULL
    WHEN t.typtype = 'e' THEN format('CREATE TYPE %s AS ENUM (%s)', format_type(t.oid, NULL),
      (SELECT string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
       FROM pg_enum AS l WHERE l.enumtypid = t.oid))
    WHEN t.typtype = 'd' THEN
      format('CREATE DOMAIN %s AS %s', format_type(t.oid, NULL), format_type(t.typbasetype, t.typtypmod))
    WHEN t.typtype = 'c' AND c.relkind = 'c' THEN format('CREATE TYPE %s AS (%s)', format_type(t.oid, NULL),
      (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
       FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
    WHEN t.typtype = 'r' THEN
      format('CREATE TYPE %s AS RANGE (SUBTYPE = %s, SUBTYPE_OPCLASS = %I.%I%s, MULTIRANGE_TYPE_NAME = %s)',
        format_type(t.oid, NULL), format_type(r.rngsubtype, NULL), opn.nspname, op.opcname,
        CASE WHEN r.rngcollation <> s.typcollation THEN format(', COLLATION = %I.%I', coln.nspname, col.collname) END,
        format_type(r.rngmultitypid, NULL))
  END
FROM (SELECT root, oid, max(depth) AS depth FROM needed GROUP BY root, oid) AS needed
JOIN pg_type AS t ON t.oid = needed.oid
JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_extension AS e ON e.oid = d.refobjid
LEFT JOIN pg_namespace AS en ON en.oid = e.extnamespace
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
LEFT JOIN pg_range AS r ON r.rngtypid = t.oid
LEFT JOIN pg_type AS s ON s.oid = r.rngsubtype
LEFT JOIN pg_opclass AS op ON op.oid = r.rngsubopc LEFT JOIN pg_namespace AS opn ON opn.oid = op.opcnamespace
LEFT JOIN pg_collation AS col ON col.oid = r.rngcollation
LEFT JOIN pg_namespace AS coln ON coln.oid = col.collnamespace
WHERE t.typtype <> 'm'
  AND NOT EXISTS (SELECT 1 FROM pg_type AS element WHERE element.oid = t.typelem AND element.typarray = t.oid)
ORDER BY needed.root, needed.depth DESC, t.oid
)";

std::uint32_t oid_at(rows const& rows, std::size_t row, std::size_t column) {
  return static_cast<std::uint32_t>(rows.integer(row, column));
}

struct defined_type {
  std::uint32_t oid = 0;
  model::type_definition definition;
};

// For each of `roots` that is no array: itself, behind what it is made of.
asio::awaitable<result<std::map<std::uint32_t, std::vector<defined_type>>>> read_definitions(
    connection& server, std::set<std::uint32_t> const& roots) {
  auto found = co_await server.query(std::string(definitions_sql), {fmt::format("{{{}}}", fmt::join(roots, ","))},
                                     "reading the definitions of types");
  if (!found) co_return fail(std::move(found));
  std::map<std::uint32_t, std::vector<defined_type>> by_root;
  std::set<std::uint32_t> all;
  for (std::size_t row = 0; row < found->size(); ++row) {
    auto& one = by_root[oid_at(*found, row, 0)].emplace_back();
    one.oid = oid_at(*found, row, 1);
    one.definition.schema = found->text(row, 2);
    one.definition.name = found->text(row, 3);
    one.definition.kind = found->text(row, 4).front();
    one.definition.extension = found->text(row, 5);
    one.definition.extension_schema = found->text(row, 6);
    one.definition.create = found->text(row, 7);
    all.insert(one.oid);
  }
  auto labels = co_await server.query(
      "SELECT enumtypid, enumlabel FROM pg_enum WHERE enumtypid = ANY($1::oid[]) ORDER BY enumtypid, enumsortorder",
      {fmt::format("{{{}}}", fmt::join(all, ","))}, "reading the labels of enums");
  if (!labels) co_return fail(std::move(labels));
  std::map<std::uint32_t, std::vector<std::string>> by_enum;
  for (std::size_t row = 0; row < labels->size(); ++row)
    by_enum[oid_at(*labels, row, 0)].emplace_back(labels->text(row, 1));
  for (auto& [root, types] : by_root) {
    for (auto& one : types)
      if (auto const known = by_enum.find(one.oid); known != by_enum.end()) one.definition.labels = known->second;
  }
  co_return by_root;
}

}  // namespace

asio::awaitable<result<void>> define_types(connection& server, std::span<model::relation* const> relations) {
  std::set<std::uint32_t> roots;
  for (auto const* const relation : relations) {
    for (auto const& column : relation->columns)
      if (column.type_oid >= first_user_oid) roots.insert(column.type_oid);
  }
  if (roots.empty()) co_return result<void>();
  auto by_root = co_await read_definitions(server, roots);
  if (!by_root) co_return fail(std::move(by_root));
  for (auto* const relation : relations) {
    relation->types.clear();
    std::set<std::uint32_t> added;
    for (auto const& column : relation->columns) {
      auto const types = by_root->find(column.type_oid);
      if (types == by_root->end()) continue;
      for (auto const& one : types->second)
        if (added.insert(one.oid).second) relation->types.push_back(one.definition);
    }
  }
  co_return result<void>();
}

asio::awaitable<result<std::map<std::string, model::type_definition>>> find_types_named(
    connection& server, std::vector<model::type_definition> const& wanted) {
  std::map<std::string, model::type_definition> known;
  if (wanted.empty()) co_return known;
  std::string names;
  for (auto const& one : wanted) {
    names += fmt::format("{}pg_catalog.to_regtype({})::oid", names.empty() ? "" : ", ", model::quote_literal(one.name));
  }
  auto found = co_await server.query(fmt::format("SELECT {}", names), "looking for types");
  if (!found) co_return fail(std::move(found));
  std::set<std::uint32_t> roots;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (!found->is_null(0, i)) roots.insert(oid_at(*found, 0, i));
  if (roots.empty()) co_return known;
  auto by_root = co_await read_definitions(server, roots);
  if (!by_root) co_return fail(std::move(by_root));
  for (auto const& [root, types] : *by_root)
    for (auto const& one : types)
      if (one.oid == root) known.emplace(one.definition.name, one.definition);
  co_return known;
}

}  // namespace etl::pg
