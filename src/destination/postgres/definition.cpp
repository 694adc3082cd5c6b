#include "destination/postgres/definition.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace etl::destination::postgres {
namespace {

error table_error(model::relation const& table, std::string_view code, std::string message, std::string hint) {
  error failure{severity::data, code, std::move(message), std::move(hint)};
  failure.table = table.oid;
  return failure;
}

std::string key_list(model::relation const& table) {
  std::string list;
  for (auto const place : table.key) {
    if (!list.empty()) list += ", ";
    list += model::quote_identifier(table.columns[place].name);
  }
  return list;
}

result<std::string> type_of(model::relation const& table, model::column const& column, known_types const& types) {
  if (types.has(column.type_name)) return column.type_name;
  return table_error(table, "destination.type_missing",
                     fmt::format("{}: the destination has no type {}, which column {} is of", table.quoted_name(),
                                 column.type_name, model::quote_identifier(column.name)),
                     "Make it there first; one that is built in comes with a newer server.");
}

result<std::string> computed_definition(model::relation const& table, model::computed_column const& computed,
                                        known_types const& types) {
  auto type = type_of(table, computed.column, types);
  if (!type) return type;
  return fmt::format("{} {} GENERATED ALWAYS AS ({}) STORED", model::quote_identifier(computed.column.name), *type,
                     computed.expression);
}

// Values of these columns are not sent: the destination computes them as the source does.
result<void> fit_computed(model::relation const& table, existing_table const& existing, known_types const& types,
                          std::vector<std::string>& changes) {
  for (auto const& computed : table.computed) {
    auto const there = std::find_if(existing.columns.begin(), existing.columns.end(),
                                    [&](auto const& candidate) { return candidate.name == computed.column.name; });
    if (there == existing.columns.end()) {
      auto definition = computed_definition(table, computed, types);
      if (!definition) return fail(std::move(definition));
      changes.push_back(fmt::format("ALTER TABLE {} ADD COLUMN {}", table.quoted_name(), *definition));
    } else if (!there->generated) {
      auto const quoted = model::quote_identifier(computed.column.name);
      return table_error(
          table, "destination.column_not_generated",
          fmt::format("{}: column {} is generated at the source, so its values are not sent, and not generated at the "
                      "destination",
                      table.quoted_name(), quoted),
          fmt::format("At the destination: ALTER TABLE {} DROP COLUMN {}; the next start makes it anew.",
                      table.quoted_name(), quoted));
    }
  }
  return result<void>();
}

bool is_key(model::relation const& table, std::vector<std::string> const& index) {
  if (index.size() != table.key.size()) return false;
  return std::all_of(table.key.begin(), table.key.end(), [&](auto place) {
    return std::find(index.begin(), index.end(), table.columns[place].name) != index.end();
  });
}

}  // namespace

bool known_types::has(std::string const& name) const {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> wanted_types(model::relation const& table) {
  std::vector<std::string> wanted;
  for (auto const& column : table.columns) wanted.push_back(column.type_name);
  for (auto const& computed : table.computed) wanted.push_back(computed.column.type_name);
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return wanted;
}

bool lacks_columns(model::relation const& table, existing_table const& existing) {
  return !std::all_of(table.columns.begin(), table.columns.end(), [&](auto const& column) {
    return std::any_of(existing.columns.begin(), existing.columns.end(),
                       [&](auto const& candidate) { return candidate.name == column.name; });
  });
}

result<std::string> create_table(model::relation const& table, known_types const& types) {
  std::string parts;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    auto const& column = table.columns[i];
    auto type = type_of(table, column, types);
    if (!type) return fail(std::move(type));
    bool const in_key = std::find(table.key.begin(), table.key.end(), i) != table.key.end();
    if (i != 0) parts += ", ";
    parts += fmt::format("{} {}{}", model::quote_identifier(column.name), *type,
                         column.not_null || in_key ? " NOT NULL" : "");
  }
  for (auto const& computed : table.computed) {
    auto definition = computed_definition(table, computed, types);
    if (!definition) return definition;
    if (!parts.empty()) parts += ", ";
    parts += *definition;
  }
  if (!table.key.empty()) parts += fmt::format(", PRIMARY KEY ({})", key_list(table));
  return fmt::format("CREATE TABLE {} ({})", table.quoted_name(), parts);
}

result<std::vector<std::string>> fit_table(model::relation const& table, existing_table const& existing,
                                           known_types const& types) {
  auto const name = table.quoted_name();
  if (existing.kind != 'r' && existing.kind != 'p') {
    return table_error(table, "destination.not_a_table",
                       fmt::format("{} exists at the destination and is no table", name),
                       "Rename or drop what has this name there.");
  }

  std::vector<std::string> changes;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    auto const& column = table.columns[i];
    auto const quoted = model::quote_identifier(column.name);
    bool const in_key = std::find(table.key.begin(), table.key.end(), i) != table.key.end();
    auto const there = std::find_if(existing.columns.begin(), existing.columns.end(),
                                    [&](auto const& candidate) { return candidate.name == column.name; });
    if (there == existing.columns.end()) {
      auto type = type_of(table, column, types);
      if (!type) return fail(std::move(type));
      changes.push_back(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", name, quoted, *type));
      continue;
    }
    if (there->type != column.type_name && there->type != column.base_type_name) {
      return table_error(
          table, "destination.column_type",
          fmt::format("{}: column {} is {} at the source and {} at the destination", name, quoted, column.type_name,
                      there->type),
          fmt::format("At the destination: ALTER TABLE {} ALTER COLUMN {} TYPE {};", name, quoted, column.type_name));
    }
    if (there->generated) {
      return table_error(
          table, "destination.column_generated",
          fmt::format("{}: column {} is generated at the destination, so its value cannot be written", name, quoted),
          fmt::format("At the destination: ALTER TABLE {} ALTER COLUMN {} DROP EXPRESSION;", name, quoted));
    }
    if (there->always_identity) {  // no UPDATE may set it
      changes.push_back(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET GENERATED BY DEFAULT", name, quoted));
    }
    if (there->not_null && !column.not_null && !in_key && !there->identity) {
      changes.push_back(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", name, quoted));
    }
  }

  if (auto fitted = fit_computed(table, existing, types, changes); !fitted) return fail(std::move(fitted));
  for (auto const& column : existing.columns) {
    bool const replicated = std::any_of(table.columns.begin(), table.columns.end(),
                                        [&](auto const& candidate) { return candidate.name == column.name; });
    if (!replicated && column.not_null && !column.has_default && !column.generated) {
      changes.push_back(
          fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", name, model::quote_identifier(column.name)));
    }
  }

  bool const has_key = std::any_of(existing.unique_keys.begin(), existing.unique_keys.end(),
                                   [&](auto const& index) { return is_key(table, index); });
  if (!table.key.empty() && !has_key) {
    return table_error(table, "destination.key_missing",
                       fmt::format("{} has no unique index on ({}) at the destination, by which its rows are found",
                                   name, key_list(table)),
                       fmt::format("At the destination: CREATE UNIQUE INDEX ON {} ({});", name, key_list(table)));
  }
  return changes;
}

}  // namespace etl::destination::postgres
