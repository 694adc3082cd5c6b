#include "destination/snowflake/table_sql.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace etl::destination::snowflake {
namespace {

using family = column_type::family;
using model::quote_identifier;

error table_error(model::relation const& table, std::string_view code, std::string message, std::string hint) {
  error failure{severity::data, code, std::move(message), std::move(hint)};
  failure.table = table.oid;
  return failure;
}

}  // namespace

table_sql::table_sql(layout const& all, model::relation_ptr table)
    : table_(std::move(table)),
      names_(all, *table_),
      metadata_(all.metadata),
      landing_schema_(quote_identifier(all.database) + '.' + quote_identifier(names_.landing_schema())) {}

std::vector<table_sql::wanted_column> table_sql::landing_columns() const {
  std::vector<wanted_column> columns{
      {quote_identifier(metadata_.position), {family::text}},
      {quote_identifier(metadata_.operation), {family::text}},
      {quote_identifier(metadata_.commit_time), {family::timestamp_tz}},
      {quote_identifier(metadata_.old_key), {family::variant}},
      {quote_identifier(metadata_.unchanged), {family::text}},
  };
  for (auto const& column : table_->columns) columns.push_back({quote_identifier(column.name), type_for(column)});
  return columns;
}

std::vector<table_sql::wanted_column> table_sql::target_columns() const {
  std::vector<wanted_column> columns;
  for (auto const& column : table_->columns) columns.push_back({names_.column(column.name), type_for(column)});
  return columns;
}

result<void> table_sql::check() const {
  // The pipe that loads the landing table matches names without regard to case.
  std::map<std::string, std::string> seen;
  for (auto const& column : landing_columns()) {
    auto const [at, is_new] = seen.emplace(upper_case(column.name), column.name);
    if (is_new) continue;
    return table_error(
        *table_, "destination.column_name",
        fmt::format("{}: Snowflake cannot tell the columns {} and {} apart", table_->quoted_name(), at->second,
                    column.name),
        "Rename one at the source, or leave it out of the publication; the names of the columns that this program adds "
        "are settings (position_column, operation_column, commit_time_column).");
  }
  return result<void>();
}

std::string table_sql::create_schema() const { return fmt::format("CREATE SCHEMA IF NOT EXISTS {}", landing_schema_); }

std::string table_sql::create_landing() const {
  std::string columns;
  for (auto const& column : landing_columns()) {
    if (!columns.empty()) columns += ", ";
    columns += column.name + ' ' + column.type.sql();
  }
  return fmt::format("CREATE TABLE IF NOT EXISTS {} ({})", names_.quoted_landing(), columns);
}

std::string table_sql::create_target() const {
  std::string parts;
  auto const columns = target_columns();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    bool const in_key = std::find(table_->key.begin(), table_->key.end(), i) != table_->key.end();
    if (i != 0) parts += ", ";
    parts += fmt::format("{} {}{}", columns[i].name, columns[i].type.sql(), in_key ? " NOT NULL" : "");
  }
  std::string key;
  for (auto const place : table_->key) key += (key.empty() ? "" : ", ") + columns[place].name;
  if (!key.empty()) parts += fmt::format(", PRIMARY KEY ({})", key);
  return fmt::format("CREATE TABLE IF NOT EXISTS {} ({})", names_.quoted_target(), parts);
}

result<std::vector<std::string>> table_sql::fit(std::string const& quoted_name,
                                                std::vector<wanted_column> const& wanted,
                                                existing_table const& existing) const {
  std::vector<std::string> changes;
  for (auto const& column : wanted) {
    auto const there = std::find_if(existing.columns.begin(), existing.columns.end(),
                                    [&](auto const& e) { return quote_identifier(e.name) == column.name; });
    if (there == existing.columns.end()) {
      changes.push_back(
          fmt::format("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}", quoted_name, column.name, column.type.sql()));
      continue;
    }
    auto const type = parse_type(there->described);
    switch (type ? fits(*type, column.type) : fitness::does_not_fit) {
      case fitness::fits:
        break;
      case fitness::can_be_widened:
        changes.push_back(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DATA TYPE {}", quoted_name, column.name,
                                      column.type.sql()));
        break;
      case fitness::does_not_fit:
        return table_error(
            *table_, "destination.column_type",
            fmt::format("{}: column {} of {} is {} and would have to be {}", table_->quoted_name(), column.name,
                        quoted_name, there->described, column.type.sql()),
            fmt::format("At Snowflake: ALTER TABLE {} RENAME COLUMN {} TO {}; (the column is then added anew, and its "
                        "earlier values stay under the other name).",
                        quoted_name, column.name, quote_identifier(there->name + "_before")));
    }
  }
  return changes;
}

result<std::vector<std::string>> table_sql::fit_landing(existing_table const& landing) const {
  return fit(names_.quoted_landing(), landing_columns(), landing);
}

result<std::vector<std::string>> table_sql::fit_target(existing_table const& target) const {
  return fit(names_.quoted_target(), target_columns(), target);
}

std::string table_sql::describe_landing() const { return "DESCRIBE TABLE " + names_.quoted_landing(); }
std::string table_sql::describe_target() const { return "DESCRIBE TABLE " + names_.quoted_target(); }
std::string table_sql::count_target() const { return "SELECT COUNT(*) FROM " + names_.quoted_target(); }
std::string table_sql::count_landing() const { return "SELECT COUNT(*) FROM " + names_.quoted_landing(); }

}  // namespace etl::destination::snowflake
