#include "destination/postgres/catalog.hpp"

#include <fmt/format.h>

namespace etl::destination::postgres {

asio::awaitable<result<std::optional<existing_table>>> find_table(pg::connection& connection,
                                                                  model::relation const& table) {
  auto const what = fmt::format("looking at {} at the destination", table.quoted_name());
  auto found = co_await connection.query(
      "SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
      "WHERE n.nspname = $1 AND c.relname = $2",
      {table.schema, table.name}, what);
  if (!found) co_return fail(std::move(found));
  if (found->empty()) co_return std::nullopt;
  existing_table existing;
  existing.kind = found->text(0, 1).front();
  std::string const oid(found->text(0, 0));

  auto columns = co_await connection.query(
      "SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> '', attgenerated <> "
      "'' "
      "FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
      {oid}, what);
  if (!columns) co_return fail(std::move(columns));
  for (std::size_t i = 0; i < columns->size(); ++i) {
    existing.columns.push_back({std::string(columns->text(i, 0)), std::string(columns->text(i, 1)), columns->flag(i, 2),
                                columns->flag(i, 3), columns->flag(i, 4)});
  }

  auto keys = co_await connection.query(
      "SELECT i.indexrelid, a.attname FROM pg_index AS i "
      "CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k(attnum) "
      "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
      "WHERE i.indrelid = $1::oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL "
      "AND i.indexprs IS NULL ORDER BY i.indexrelid",
      {oid}, what);
  if (!keys) co_return fail(std::move(keys));
  for (std::size_t i = 0; i < keys->size(); ++i) {
    if (i == 0 || keys->text(i, 0) != keys->text(i - 1, 0)) existing.unique_keys.emplace_back();
    existing.unique_keys.back().emplace_back(keys->text(i, 1));
  }

  auto primary = co_await connection.query(
      "SELECT c.conname, a.attname FROM pg_constraint AS c CROSS JOIN unnest(c.conkey) AS k(attnum) "
      "JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum "
      "WHERE c.conrelid = $1::oid AND c.contype = 'p'",
      {oid}, what);
  if (!primary) co_return fail(std::move(primary));
  for (std::size_t i = 0; i < primary->size(); ++i) {
    existing.primary_key = primary->text(i, 0);
    existing.primary_key_columns.emplace_back(primary->text(i, 1));
  }
  co_return existing;
}

asio::awaitable<result<known_types>> find_types(pg::connection& connection, std::vector<std::string> wanted) {
  known_types known;
  if (wanted.empty()) co_return known;
  std::string sql = "SELECT ";
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    sql += fmt::format("{}pg_catalog.to_regtype({}) IS NOT NULL", i == 0 ? "" : ", ", model::quote_literal(wanted[i]));
  }
  auto found = co_await connection.query(std::move(sql), "looking for types at the destination");
  if (!found) co_return fail(std::move(found));
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (found->flag(0, i)) known.names.push_back(std::move(wanted[i]));
  co_return known;
}

}  // namespace etl::destination::postgres
