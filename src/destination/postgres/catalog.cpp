#include "destination/postgres/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>

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

asio::awaitable<result<std::vector<std::string>>> find_key_operators(pg::connection& connection,
                                                                     model::relation const& table) {
  std::vector<std::string> operators;
  auto const is_built_in = [&](auto place) { return table.columns[place].base_type_oid < 10'000; };
  if (std::all_of(table.key.begin(), table.key.end(), is_built_in)) co_return operators;
  for (auto const place : table.key) {
    auto found = co_await connection.query(
        "SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_index AS i "
        "CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1], (i.indclass::oid[])[0:i.indnkeyatts - 1]) "
        "AS k(attnum, opclass) "
        "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "JOIN pg_opclass AS c ON c.oid = k.opclass "
        // Strategy 3 of a B-tree is equality (PostgreSQL manual, "Operator Classes and Operator Families").
        "JOIN pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype "
        "AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3 "
        "JOIN pg_operator AS o ON o.oid = m.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace "
        "WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND a.attname = $2 LIMIT 1",
        {table.quoted_name(), table.columns[place].name}, fmt::format("looking at the key of {}", table.quoted_name()));
    if (!found) co_return fail(std::move(found));
    operators.emplace_back(found->empty() ? "=" : found->text(0, 0));
  }
  co_return operators;
}

}  // namespace etl::destination::postgres
