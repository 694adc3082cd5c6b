#include "destination/postgres/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

namespace etl::destination::postgres {

namespace {

// {a,b} as PostgreSQL reads arrays; every element in quotes.
std::string array_of(std::vector<model::relation_ptr> const& tables, std::string model::relation::* name) {
  std::string text = "{";
  for (auto const& table : tables) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (char const c : (*table).*name) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + '}';
}

asio::awaitable<result<std::vector<std::optional<existing_table>>>> find_named(
    pg::connection& connection, std::vector<model::relation_ptr> const& tables, std::string what) {
  std::vector<std::optional<existing_table>> existing(tables.size());
  auto found = co_await connection.query(
      "SELECT w.n - 1, c.oid, c.relkind FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, n) "
      "JOIN pg_namespace AS n ON n.nspname = w.schema JOIN pg_class AS c ON n.oid = c.relnamespace "
      "AND c.relname = w.name",
      {array_of(tables, &model::relation::schema), array_of(tables, &model::relation::name)}, what);
  if (!found) co_return fail(std::move(found));
  if (found->empty()) co_return existing;
  std::map<std::string, std::size_t, std::less<>> places;  // by OID
  std::string oids;
  for (std::size_t i = 0; i < found->size(); ++i) {
    auto const place = static_cast<std::size_t>(found->integer(i, 0));
    existing[place].emplace().kind = found->text(i, 2).front();
    places.emplace(found->text(i, 1), place);
    oids += fmt::format("{}{}", oids.empty() ? "{" : ",", found->text(i, 1));
  }
  oids += '}';

  auto columns = co_await connection.query(
      "SELECT attrelid, attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> '', "
      "attgenerated <> '', attidentity <> '', attidentity = 'a' "
      "FROM pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped "
      "ORDER BY attrelid, attnum",
      {oids}, what);
  if (!columns) co_return fail(std::move(columns));
  for (std::size_t i = 0; i < columns->size(); ++i) {
    existing[places.find(columns->text(i, 0))->second]->columns.push_back(
        {std::string(columns->text(i, 1)), std::string(columns->text(i, 2)), columns->flag(i, 3), columns->flag(i, 4),
         columns->flag(i, 5), columns->flag(i, 6), columns->flag(i, 7)});
  }

  auto keys = co_await connection.query(
      "SELECT i.indrelid, i.indexrelid, a.attname FROM pg_index AS i "
      "CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k(attnum) "
      "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
      "WHERE i.indrelid = ANY ($1::oid[]) AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL "
      "AND i.indexprs IS NULL ORDER BY i.indexrelid",
      {oids}, what);
  if (!keys) co_return fail(std::move(keys));
  for (std::size_t i = 0; i < keys->size(); ++i) {
    auto& of = existing[places.find(keys->text(i, 0))->second]->unique_keys;
    if (i == 0 || keys->text(i, 1) != keys->text(i - 1, 1)) of.emplace_back();
    of.back().emplace_back(keys->text(i, 2));
  }

  auto primary = co_await connection.query(
      "SELECT c.conrelid, c.conname, a.attname FROM pg_constraint AS c CROSS JOIN unnest(c.conkey) AS k(attnum) "
      "JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum "
      "WHERE c.conrelid = ANY ($1::oid[]) AND c.contype = 'p'",
      {oids}, what);
  if (!primary) co_return fail(std::move(primary));
  for (std::size_t i = 0; i < primary->size(); ++i) {
    auto& of = *existing[places.find(primary->text(i, 0))->second];
    of.primary_key = primary->text(i, 1);
    of.primary_key_columns.emplace_back(primary->text(i, 2));
  }
  co_return existing;
}

}  // namespace

asio::awaitable<result<std::optional<existing_table>>> find_table(pg::connection& connection,
                                                                  model::relation const& table) {
  // Borrowed for the length of the call.
  std::vector<model::relation_ptr> const one{model::relation_ptr(model::relation_ptr(), &table)};
  auto found =
      co_await find_named(connection, one, fmt::format("looking at {} at the destination", table.quoted_name()));
  if (!found) co_return fail(std::move(found));
  co_return std::move(found->front());
}

asio::awaitable<result<std::vector<std::optional<existing_table>>>> find_tables(
    pg::connection& connection, std::vector<model::relation_ptr> const& tables) {
  co_return co_await find_named(connection, tables, "looking at the tables at the destination");
}

asio::awaitable<result<std::vector<bool>>> find_rows(pg::connection& connection,
                                                     std::vector<std::pair<model::relation_ptr, char>> tables) {
  // The locks of so many tables are held at once.
  constexpr std::size_t at_once = 100;
  std::vector<bool> found;
  while (found.size() < tables.size()) {
    std::vector<std::string> texts;
    std::vector<pg::statement> statements;
    for (auto i = found.size(); i < std::min(found.size() + at_once, tables.size()); ++i) {
      texts.push_back(fmt::format("SELECT EXISTS (SELECT 1 FROM {}{})", tables[i].second == 'p' ? "" : "ONLY ",
                                  tables[i].first->quoted_name()));
    }
    for (auto const& text : texts) statements.push_back({.sql = text, .name = {}, .parameters = {}});
    auto answers = co_await connection.pipeline(statements, "looking for rows");
    if (!answers) co_return fail(std::move(answers));
    for (auto const& answer : *answers) found.push_back(answer.flag(0, 0));
  }
  co_return found;
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
