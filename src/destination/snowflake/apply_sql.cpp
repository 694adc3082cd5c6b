#include "destination/snowflake/apply_sql.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "destination/snowflake/column_type.hpp"
#include "encode/json_text.hpp"
#include "encode/ndjson.hpp"

namespace etl::destination::snowflake {
namespace {

using model::quote_identifier;

// Snowflake reads backslashes in literals as escapes.
std::string literal(std::string_view text) {
  std::string quoted = "'";
  for (char const c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + '\'';
}

template <class Items, class Text>
std::string listed(Items const& items, std::string_view separator, Text&& text) {
  std::string all;
  for (auto const& item : items) {
    if (!all.empty()) all += separator;
    all += text(item);
  }
  return all;
}

std::optional<std::uint64_t> parse_count(std::optional<std::string> const& cell) {
  if (!cell) return std::nullopt;
  std::uint64_t count = 0;
  auto const [end, failed] = std::from_chars(cell->data(), cell->data() + cell->size(), count);
  if (failed != std::errc{} || end != cell->data() + cell->size()) return std::nullopt;
  return count;
}

}  // namespace

apply_sql::apply_sql(layout const& all, model::relation_ptr table)
    : names_(all, *table),
      position_(quote_identifier(all.metadata.position)),
      operation_(quote_identifier(all.metadata.operation)),
      old_key_(quote_identifier(all.metadata.old_key)),
      unchanged_(quote_identifier(all.metadata.unchanged)),
      keys_(table->key),
      warehouse_(quote_identifier(all.warehouse)),
      apply_every_(all.apply_every) {
  for (std::size_t i = 0; i < table->columns.size(); ++i) {
    auto const& source = table->columns[i];
    bool const in_key = std::find(keys_.begin(), keys_.end(), i) != keys_.end();
    auto const type = type_for(source);
    columns_.push_back({.landing = quote_identifier(source.name),
                        .target = names_.column(source.name),
                        .type = type.sql(),
                        .old_key_path = literal(quote_identifier(source.name)),
                        .listed = literal(encode::listed_name(source.name)),
                        .may_be_unchanged = !in_key && may_be_unchanged(source),
                        .binary = type.kind == column_type::family::binary});
  }
}

std::string apply_sql::survey_up_to(position upto) const {
  return fmt::format(
      "SELECT COUNT(*), MAX(IFF({op} = 'truncate', {pos}, NULL)), COUNT_IF({unchanged} IS NOT NULL), "
      "COUNT_IF({op} = 'rekey') FROM {landing} WHERE {pos} <= '{upto}'",
      fmt::arg("op", operation_), fmt::arg("pos", position_), fmt::arg("unchanged", unchanged_),
      fmt::arg("landing", names_.quoted_landing()), fmt::arg("upto", upto.to_text()));
}

std::optional<survey> apply_sql::parse_survey(std::vector<std::optional<std::string>> const& row) {
  if (row.size() != 4) return std::nullopt;
  auto const rows = parse_count(row[0]);
  if (rows == 0u) return survey{};
  auto const partial = parse_count(row[2]);
  auto const rekeys = parse_count(row[3]);
  if (!rows || !partial || !rekeys) return std::nullopt;
  survey found{.rows = *rows, .truncated = {}, .partial = *partial > 0, .rekeys = *rekeys > 0};
  if (row[1]) {
    found.truncated = position::parse(*row[1]);
    if (!found.truncated) return std::nullopt;
  }
  return found;
}

std::string apply_sql::old_key(std::size_t key_part, std::string_view of) const {
  auto const& column = columns_[keys_[key_part]];
  auto const text = fmt::format("JSON_EXTRACT_PATH_TEXT({}, {})", of, column.old_key_path);
  if (column.binary) return fmt::format("TO_BINARY({}, 'HEX')", text);
  return fmt::format("CAST({} AS {})", text, column.type);
}

std::string apply_sql::first_obstacle(position upto, survey const& found) const {
  std::string same;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    same += fmt::format(" AND e.{} = {}", columns_[keys_[i]].landing, old_key(i, "r." + old_key_));
  }
  auto const from = found.truncated.value_or(position{}).to_text();
  return fmt::format(
      "SELECT MIN(r.{pos}) FROM {landing} AS r JOIN {landing} AS e ON e.{pos} < r.{pos} AND e.{pos} > '{from}'{same} "
      "WHERE r.{op} = 'rekey' AND r.{pos} > '{from}' AND r.{pos} <= '{upto}'",
      fmt::arg("pos", position_), fmt::arg("op", operation_), fmt::arg("landing", names_.quoted_landing()),
      fmt::arg("from", from), fmt::arg("same", same), fmt::arg("upto", upto.to_text()));
}

std::string apply_sql::is_absent(std::size_t column) const {
  return fmt::format("IFF(CONTAINS({}, {}), 1, 0)", unchanged_, columns_[column].listed);
}

std::string apply_sql::same_key(std::string_view left, std::string_view right) const {
  return listed(keys_, " AND ", [&](auto place) {
    return fmt::format("{}.{} = {}.{}", left, columns_[place].target, right, columns_[place].landing);
  });
}

// The newest row of each key, as it is.
std::string apply_sql::newest_rows(range const& rows) const {
  auto const key = listed(keys_, ", ", [&](auto place) { return columns_[place].landing; });
  auto const columns = listed(columns_, ", ", [](auto const& c) { return c.landing; });
  return fmt::format(
      "SELECT {columns}, {op} FROM {from} WHERE {where} "
      "QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {pos} DESC) = 1",
      fmt::arg("columns", columns), fmt::arg("op", operation_), fmt::arg("from", rows.from),
      fmt::arg("where", rows.where), fmt::arg("key", key), fmt::arg("pos", position_));
}

// The rows of the range, and for every changed key the end of the old one.
std::string apply_sql::changes(range const& rows) const {
  auto const columns = listed(columns_, ", ", [](auto const& c) { return c.landing; });
  auto text = fmt::format("SELECT {}, {}, {}, {}, {} FROM {} WHERE {}", columns, position_, operation_, unchanged_,
                          old_key_, rows.from, rows.where);
  if (!rows.rekeys) return text;
  std::string ended;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    auto const part = std::find(keys_.begin(), keys_.end(), i);
    ended += part == keys_.end() ? fmt::format("CAST(NULL AS {})", columns_[i].type)
                                 : old_key(static_cast<std::size_t>(part - keys_.begin()), old_key_);
    ended += ", ";
  }
  return fmt::format("{} UNION ALL SELECT {}{}, 'remove', NULL, NULL FROM {} WHERE {} AND {} = 'rekey'", text, ended,
                     position_, rows.from, rows.where, operation_);
}

// Every column; of those that may be unchanged, etl_value_N: the newest value that was sent, and etl_absent_N: 1 when
// none was.
std::string apply_sql::carried(std::string_view key) const {
  std::string text;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    auto const& column = columns_[i];
    if (i != 0) text += ", ";
    text += column.may_be_unchanged
                ? fmt::format(
                      "FIRST_VALUE({0}) OVER (PARTITION BY {1} ORDER BY {2}, {3} DESC) AS etl_value_{4}, "
                      "MIN({2}) OVER (PARTITION BY {1}) AS etl_absent_{4}",
                      column.landing, key, is_absent(i), position_, i)
                : column.landing;
  }
  return text;
}

// The newest row of each key with the values that it left out: from the newest earlier row that has them, else from the
// target's row (of the old key, when the range begins with a changed key). "etl_lacks" is 1 for rows that still lack
// one, because the target has no such row: it will come with the copy of the table.
std::string apply_sql::complete_rows(range const& rows) const {
  auto const key = listed(keys_, ", ", [&](auto place) { return columns_[place].landing; });
  std::string completed, absent;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    auto const& column = columns_[i];
    if (i != 0) completed += ", ";
    if (!column.may_be_unchanged) {
      completed += "n." + column.landing;
      continue;
    }
    completed +=
        fmt::format("IFF(n.etl_absent_{0} = 1, b.{1}, n.etl_value_{0}) AS {2}", i, column.target, column.landing);
    absent += fmt::format("{}n.etl_absent_{} = 1", absent.empty() ? "" : " OR ", i);
  }
  std::string before;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    auto const& column = columns_[keys_[i]];
    auto const now = "n." + column.landing;
    before += fmt::format(
        "{}b.{} = {}", i == 0 ? "" : " AND ", column.target,
        rows.rekeys ? fmt::format("IFF(n.etl_old_key IS NULL, {}, {})", now, old_key(i, "n.etl_old_key")) : now);
  }
  // A changed key begins the row anew: what its new key stood for before is no part of it.
  auto const based = rows.rekeys ? fmt::format(
                                       "SELECT *, MAX(IFF({op} = 'rekey', {pos}, NULL)) OVER (PARTITION BY {key}) AS "
                                       "etl_base FROM ({changes}) AS c QUALIFY etl_base IS NULL OR {pos} >= etl_base",
                                       fmt::arg("op", operation_), fmt::arg("pos", position_), fmt::arg("key", key),
                                       fmt::arg("changes", changes(rows)))
                                 : changes(rows);
  auto const newest = fmt::format(
      "SELECT {carried}, FIRST_VALUE({old}) OVER (PARTITION BY {key} ORDER BY {pos}) AS etl_old_key, {op} "
      "FROM ({based}) AS r QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {pos} DESC) = 1",
      fmt::arg("carried", carried(key)), fmt::arg("old", old_key_), fmt::arg("key", key), fmt::arg("pos", position_),
      fmt::arg("op", operation_), fmt::arg("based", based));
  return fmt::format(
      "SELECT {completed}, n.{op}, IFF(({absent}) AND b.{first} IS NULL, 1, 0) AS etl_lacks "
      "FROM ({newest}) AS n LEFT JOIN {target} AS b ON {before}",
      fmt::arg("completed", completed), fmt::arg("op", operation_), fmt::arg("absent", absent),
      fmt::arg("first", columns_[keys_.front()].target), fmt::arg("newest", newest),
      fmt::arg("target", names_.quoted_target()), fmt::arg("before", before));
}

std::string apply_sql::merge(range const& rows) const {
  bool const any_carried =
      rows.partial && std::any_of(columns_.begin(), columns_.end(), [](auto const& c) { return c.may_be_unchanged; });
  std::string set;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (std::find(keys_.begin(), keys_.end(), i) != keys_.end()) continue;
    set += fmt::format("{}{} = s.{}", set.empty() ? "" : ", ", columns_[i].target, columns_[i].landing);
  }
  std::string_view const whole = any_carried ? " AND s.etl_lacks = 0" : "";
  auto text = fmt::format("MERGE INTO {} AS t USING ({}) AS s ON {} WHEN MATCHED AND s.{} = 'remove' THEN DELETE",
                          names_.quoted_target(), any_carried ? complete_rows(rows) : newest_rows(rows),
                          same_key("t", "s"), operation_);
  if (!set.empty()) text += fmt::format(" WHEN MATCHED{} THEN UPDATE SET {}", whole, set);
  text += fmt::format(" WHEN NOT MATCHED AND s.{} <> 'remove'{} THEN INSERT ({}) VALUES ({})", operation_, whole,
                      listed(columns_, ", ", [](auto const& c) { return c.target; }),
                      listed(columns_, ", ", [](auto const& c) { return "s." + c.landing; }));
  return text;
}

// Rows without a key are only ever added, each position once.
std::string apply_sql::insert(range const& rows) const {
  return fmt::format(
      "INSERT INTO {target} ({columns}) SELECT {values} FROM {from} WHERE {where} AND {op} IN ('insert', 'copy') "
      "QUALIFY ROW_NUMBER() OVER (PARTITION BY {pos} ORDER BY {pos}) = 1",
      fmt::arg("target", names_.quoted_target()),
      fmt::arg("columns", listed(columns_, ", ", [](auto const& c) { return c.target; })),
      fmt::arg("values", listed(columns_, ", ", [](auto const& c) { return c.landing; })), fmt::arg("from", rows.from),
      fmt::arg("where", rows.where), fmt::arg("op", operation_), fmt::arg("pos", position_));
}

std::string apply_sql::apply_up_to(position upto, survey const& found) const {
  auto const landing = names_.quoted_landing();
  auto const all = fmt::format("{} <= '{}'", position_, upto.to_text());
  range rows{.from = landing, .where = all, .partial = found.partial || found.rekeys, .rekeys = found.rekeys};
  std::string text = "BEGIN\n  BEGIN TRANSACTION;\n";
  if (found.truncated) {
    // Only while the landing table has it: a statement of an earlier process may have applied it since the survey.
    text += fmt::format("  DELETE FROM {} WHERE EXISTS (SELECT 1 FROM {} WHERE {} = 'truncate' AND {} = '{}');\n",
                        names_.quoted_target(), landing, operation_, position_, found.truncated->to_text());
    rows.where += fmt::format(" AND {} > '{}'", position_, found.truncated->to_text());
  }
  text += fmt::format("  {};\n  DELETE FROM {} WHERE {};\n  COMMIT;\nEND", apply(rows), landing, all);
  return text;
}

std::vector<std::string> apply_sql::create_task() const {
  auto const stream = names_.quoted_stream();
  auto const task = names_.quoted_task();
  auto const truncated = fmt::format("SELECT MAX({}) FROM {} WHERE {} = 'truncate'", position_, stream, operation_);
  range const rows{.from = stream, .where = fmt::format("{} > COALESCE(({}), '')", position_, truncated)};
  auto const minutes = std::max(std::chrono::ceil<std::chrono::minutes>(apply_every_), std::chrono::minutes(1));
  return {
      fmt::format("CREATE STREAM IF NOT EXISTS {} ON TABLE {} APPEND_ONLY = TRUE", stream, names_.quoted_landing()),
      fmt::format("CREATE OR REPLACE TASK {task} WAREHOUSE = {warehouse} SCHEDULE = '{minutes} MINUTE' "
                  "WHEN SYSTEM$STREAM_HAS_DATA({name}) AS\n"
                  "BEGIN\n  BEGIN TRANSACTION;\n"
                  "  DELETE FROM {target} WHERE EXISTS (SELECT 1 FROM {stream} WHERE {op} = 'truncate');\n"
                  "  {apply};\n"
                  "  DELETE FROM {landing} WHERE {pos} IN (SELECT {pos} FROM {stream});\n"
                  "  COMMIT;\nEND",
                  fmt::arg("task", task), fmt::arg("warehouse", warehouse_), fmt::arg("minutes", minutes.count()),
                  fmt::arg("name", literal(stream)), fmt::arg("target", names_.quoted_target()),
                  fmt::arg("stream", stream), fmt::arg("op", operation_), fmt::arg("apply", apply(rows)),
                  fmt::arg("landing", names_.quoted_landing()), fmt::arg("pos", position_)),
      fmt::format("ALTER TASK {} RESUME", task),
  };
}

std::string apply_sql::create_view() const {
  auto const landing = names_.quoted_landing();
  auto const truncated = fmt::format("SELECT MAX({}) FROM {} WHERE {} = 'truncate'", position_, landing, operation_);
  auto const where = fmt::format("{} > COALESCE(({}), '')", position_, truncated);
  auto const head = fmt::format("CREATE OR REPLACE VIEW {} AS ", names_.quoted_target());
  if (keys_.empty()) {
    auto const columns = listed(columns_, ", ", [](auto const& c) { return c.landing + " AS " + c.target; });
    return fmt::format("{}SELECT {} FROM {} WHERE {} AND {} IN ('insert', 'copy')", head, columns, landing, where,
                       operation_);
  }
  auto const key = listed(keys_, ", ", [&](auto place) { return columns_[place].landing; });
  std::string values, whole;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    auto const& column = columns_[i];
    if (i != 0) values += ", ";
    values += column.may_be_unchanged ? fmt::format("etl_value_{}", i) : column.landing;
    values += " AS " + column.target;
    if (column.may_be_unchanged) whole += fmt::format(" AND etl_absent_{} = 0", i);
  }
  return fmt::format(
      "{head}SELECT {values} FROM (SELECT {carried}, {op} FROM {landing} WHERE {where} "
      "QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {pos} DESC) = 1) AS n WHERE {op} <> 'remove'{whole}",
      fmt::arg("head", head), fmt::arg("values", values), fmt::arg("carried", carried(key)), fmt::arg("op", operation_),
      fmt::arg("landing", landing), fmt::arg("where", where), fmt::arg("key", key), fmt::arg("pos", position_),
      fmt::arg("whole", whole));
}

}  // namespace etl::destination::snowflake
