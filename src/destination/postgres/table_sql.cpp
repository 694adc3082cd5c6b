#include "destination/postgres/table_sql.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "pg/key_operators.hpp"

namespace etl::destination::postgres {
namespace {

// Types of which equal values are equal byte by byte: bool bytea int8 int2 int4 oid date time timestamp timestamptz
// uuid. (text may have a collation that finds different spellings equal.)
bool has_spellings(model::column const& column) {
  constexpr std::array<std::uint32_t, 11> without{16, 17, 20, 21, 23, 26, 1082, 1083, 1114, 1184, 2950};
  return std::find(without.begin(), without.end(), column.base_type_oid) == without.end();
}

template <class Item>
std::string listed(std::size_t count, std::string_view separator, Item&& item) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) text += separator;
    text += item(i);
  }
  return text;
}

}  // namespace

table_sql::table_sql(model::relation const& table, std::vector<std::string> key_equals, bool partitioned)
    : name_(table.quoted_name()),
      rows_(partitioned ? name_ : "ONLY " + name_),
      stage_(fmt::format("etl_stage_{}_{}", table.oid, table.version)),
      key_(table.key),
      key_equals_(std::move(key_equals)) {
  key_equals_.resize(key_.size(), "=");
  for (auto const place : key_) key_columns_.push_back(table.columns[place]);
  for (auto const& column : table.columns) {
    columns_.push_back(model::quote_identifier(column.name));
    stage_types_.push_back(column.type_kind == 'd' ? column.base_type_name : std::string());
  }
  for (auto const place : key_) key_has_spellings_ = key_has_spellings_ || has_spellings(table.columns[place]);
}

std::string table_sql::insert_into() const {
  return fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE", name_, fmt::join(columns_, ", "));
}

std::vector<std::uint16_t> table_sql::columns_to_set(std::string_view unchanged, bool with_key) const {
  std::vector<std::uint16_t> wanted;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    bool const in_key = std::find(key_.begin(), key_.end(), i) != key_.end();
    bool const missing = i < unchanged.size() && unchanged[i] == '1';
    if (!missing && (!in_key || with_key || key_has_spellings_)) wanted.push_back(static_cast<std::uint16_t>(i));
  }
  return wanted.empty() ? key_ : wanted;  // SET needs something
}

std::string table_sql::insert() const {
  if (columns_.empty()) return fmt::format("INSERT INTO {} DEFAULT VALUES", name_);
  return fmt::format("{} VALUES ({})", insert_into(),
                     listed(columns_.size(), ", ", [](auto i) { return fmt::format("${}", i + 1); }));
}

std::string table_sql::upsert() const {
  auto const set = columns_to_set({}, false);
  // A row that was just inserted has no xmax; one that ON CONFLICT updated was locked first.
  return fmt::format(
      "{} ON CONFLICT ({}) DO UPDATE SET {} RETURNING (xmax = 0)", insert(),
      listed(key_.size(), ", ", [&](auto i) { return columns_[key_[i]]; }),
      listed(set.size(), ", ", [&](auto i) { return fmt::format("{0} = EXCLUDED.{0}", columns_[set[i]]); }));
}

std::string table_sql::remove() const { return fmt::format("DELETE FROM {} WHERE {}", rows_, key_is(1)); }

std::string table_sql::make_way() const {
  auto const old_key = key_is(key_.size() + 1);
  return fmt::format("DELETE FROM {0} WHERE {1} AND NOT ({2}) AND EXISTS (SELECT 1 FROM {0} WHERE {2})", rows_,
                     key_is(1), old_key);
}

std::string table_sql::update(std::vector<std::uint16_t> const& set) const {
  return fmt::format("UPDATE {} SET {} WHERE {}", rows_,
                     listed(set.size(), ", ", [&](auto i) { return fmt::format("{} = ${}", columns_[set[i]], i + 1); }),
                     key_is(set.size() + 1));
}

std::string table_sql::key_is(std::size_t first_parameter) const {
  return listed(key_.size(), " AND ",
                [&](auto i) { return pg::key_equals(key_columns_[i], key_equals_[i], first_parameter + i); });
}

std::string table_sql::copy(bool binary) const {
  return fmt::format("COPY {} ({}) FROM STDIN (FORMAT {})", name_, fmt::join(columns_, ", "),
                     binary ? "binary" : "text");
}

std::string table_sql::create_stage() const {
  return fmt::format(
      "CREATE TEMPORARY TABLE {} AS SELECT {}{} FROM {} WITH NO DATA", stage_, key_.empty() ? "" : "NULL::int2 AS c0, ",
      listed(columns_.size(), ", ",
             [&](auto i) {
               return stage_types_[i].empty() ? fmt::format("{} AS c{}", columns_[i], i + 1)
                                              : fmt::format("{}::{} AS c{}", columns_[i], stage_types_[i], i + 1);
             }),
      name_);
}

std::string table_sql::drop_stage() const { return fmt::format("DROP TABLE IF EXISTS pg_temp.{}", stage_); }
std::string table_sql::empty_stage() const { return fmt::format("TRUNCATE pg_temp.{}", stage_); }

std::string table_sql::copy_to_stage(bool binary) const {
  return fmt::format("COPY pg_temp.{} FROM STDIN (FORMAT {})", stage_, binary ? "binary" : "text");
}

std::string table_sql::stage_columns() const {
  return listed(columns_.size(), ", ", [](auto i) { return fmt::format("c{}", i + 1); });
}

std::string table_sql::same_key() const {
  return listed(key_.size(), " AND ",
                [&](auto i) { return fmt::format("t.{} {} s.c{}", columns_[key_[i]], key_equals_[i], key_[i] + 1); });
}

std::string table_sql::update_from_stage(std::int16_t kind, std::string_view unchanged) const {
  auto const set = columns_to_set(unchanged, false);
  return fmt::format(
      "UPDATE {} AS t SET {} FROM pg_temp.{} AS s WHERE s.c0 = {} AND {}", rows_,
      listed(set.size(), ", ", [&](auto i) { return fmt::format("{} = s.c{}", columns_[set[i]], set[i] + 1); }), stage_,
      kind, same_key());
}

std::string table_sql::insert_from_stage(std::int16_t kind) const {
  return fmt::format("{} SELECT {} FROM pg_temp.{} WHERE c0 = {}", insert_into(), stage_columns(), stage_, kind);
}

std::string table_sql::insert_missing_from_stage(std::int16_t kind) const {
  return fmt::format("{} ON CONFLICT ({}) DO NOTHING", insert_from_stage(kind),
                     listed(key_.size(), ", ", [&](auto i) { return columns_[key_[i]]; }));
}

std::string table_sql::remove_staged(std::int16_t kind) const {
  return fmt::format("DELETE FROM {} AS t USING pg_temp.{} AS s WHERE s.c0 = {} AND {}", rows_, stage_, kind,
                     same_key());
}

std::string table_sql::remove_staged_by_value() const {
  // ROW(…)::text is what the types' output functions write, quoted so that NULL and '' differ.
  return fmt::format(
      "WITH gone AS MATERIALIZED (SELECT ROW({})::text AS row, count(*) AS rows FROM pg_temp.{} GROUP BY 1), "
      "found AS MATERIALIZED ("
      "SELECT r.heap, r.place, gone.rows, row_number() OVER (PARTITION BY gone.row) AS number "
      "FROM (SELECT tableoid AS heap, ctid AS place, ROW({})::text AS row FROM {}) AS r JOIN gone USING (row)) "
      "DELETE FROM {} AS t USING found "
      "WHERE t.ctid = found.place AND t.tableoid = found.heap AND found.number <= found.rows",
      stage_columns(), stage_, fmt::join(columns_, ", "), rows_, rows_);
}

std::string table_sql::complete_staged(std::int16_t kind, std::string_view unchanged) const {
  std::string set = fmt::format("c0 = {}", staged::changed);
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (unchanged[i] == '1') set += fmt::format(", c{} = t.{}", i + 1, columns_[i]);
  return fmt::format("UPDATE pg_temp.{} AS s SET {} FROM {} AS t WHERE s.c0 = {} AND {}", stage_, set, rows_, kind,
                     same_key());
}

std::string table_sql::remove_all_staged() const {
  return fmt::format("DELETE FROM {} AS t USING pg_temp.{} AS s WHERE {}", rows_, stage_, same_key());
}

std::string table_sql::insert_all_staged() const {
  return fmt::format("{} SELECT {} FROM pg_temp.{} WHERE c0 IN ({}, {})", insert_into(), stage_columns(), stage_,
                     staged::added, staged::changed);
}

}  // namespace etl::destination::postgres
