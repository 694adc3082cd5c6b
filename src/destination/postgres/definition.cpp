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
      auto add = fmt::format("ALTER TABLE {} ADD COLUMN {} {}", name, quoted, *type);
      if (column.fill) {
        add += fmt::format(" DEFAULT {}::{}", model::quote_literal(*column.fill), *type);
        add += fmt::format("; ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT", name, quoted);
      }
      changes.push_back(std::move(add));
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

namespace {

bool has_column(existing_table const& table, std::string const& name) {
  return std::ranges::find(table.columns, name, &existing_table::column::name) != table.columns.end();
}

}  // namespace

bool made_alike(model::relation const& before, model::relation const& table) {
  return before.key == table.key && std::ranges::equal(before.columns, table.columns, [](auto const& a, auto const& b) {
           return a.name == b.name && a.type_name == b.type_name;
         });
}

result<std::vector<alteration>> follow_change(model::relation const& before, model::relation const& table,
                                              existing_table const& existing, known_types const& types,
                                              bool copied_again) {
  auto const alter = fmt::format("ALTER TABLE {} ", table.quoted_name());
  std::vector<alteration> changes;
  bool const other_key = !model::same_key(before, table);
  bool const has_old_key = !existing.primary_key.empty() && is_key(before, existing.primary_key_columns);
  if (other_key && has_old_key) {
    changes.push_back({alter + "DROP CONSTRAINT " + model::quote_identifier(existing.primary_key), {}});
  }

  std::vector<std::pair<std::string, std::string>> renames;
  for (auto const& column : before.columns) {
    auto const* const now = table.find_column(column.attribute_number);
    if (!has_column(existing, column.name)) continue;
    // A column whose number is not known goes on in a new one of its name.
    auto const heir = std::ranges::find(table.columns, column.name, &model::column::name);
    bool const name_goes_on = column.attribute_number == 0 && heir != table.columns.end() &&
                              before.find_column(heir->attribute_number) == nullptr &&
                              heir->type_name == column.type_name;
    if (now == nullptr && !name_goes_on) {
      changes.push_back({alter + "DROP COLUMN " + model::quote_identifier(column.name), {}});
    } else if (now != nullptr && now->name != column.name) {
      renames.emplace_back(column.name, now->name);
    }
  }
  // Names may be swapped, or handed on: all of them are put aside first.
  auto const rename = [&](std::string const& from, std::string const& to) {
    auto const sql =
        fmt::format("{}RENAME COLUMN {} TO {}", alter, model::quote_identifier(from), model::quote_identifier(to));
    changes.push_back({sql, {}});
  };
  for (std::size_t i = 0; i < renames.size(); ++i) rename(renames[i].first, fmt::format("etl_stream_renamed_{}", i));
  for (std::size_t i = 0; i < renames.size(); ++i) rename(fmt::format("etl_stream_renamed_{}", i), renames[i].second);

  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    auto const& column = table.columns[i];
    auto const* const earlier = before.find_column(column.attribute_number);
    if (earlier == nullptr || earlier->type_name == column.type_name) continue;
    auto const there = std::ranges::find(existing.columns, earlier->name, &existing_table::column::name);
    if (there == existing.columns.end() || there->type == column.type_name) continue;
    auto type = type_of(table, column, types);
    if (!type) return fail(std::move(type));
    auto const quoted = model::quote_identifier(column.name);
    auto const retype = fmt::format("{}ALTER COLUMN {} TYPE {} USING ", alter, quoted, *type);
    bool const in_key = std::ranges::find(table.key, i) != table.key.end();
    std::string otherwise;
    if (copied_again && !in_key) {
      otherwise = fmt::format("{}ALTER COLUMN {} DROP NOT NULL; {}NULL::{}", alter, quoted, retype, *type);
    }
    changes.push_back({fmt::format("{}{}::{}", retype, quoted, *type), std::move(otherwise)});
  }

  if (other_key && !table.key.empty() && (has_old_key || existing.primary_key.empty())) {
    if (key_is_new(before, table)) {
      // Rows that are there cannot be found by it.
      changes.push_back({"TRUNCATE ONLY " + table.quoted_name(), "DELETE FROM " + table.quoted_name()});
      for (auto const place : table.key) {
        auto const& column = table.columns[place];
        if (before.find_column(column.attribute_number) != nullptr || has_column(existing, column.name)) continue;
        auto type = type_of(table, column, types);
        if (!type) return fail(std::move(type));
        changes.push_back({fmt::format("{}ADD COLUMN {} {}", alter, model::quote_identifier(column.name), *type), {}});
      }
    }
    changes.push_back({fmt::format("{}ADD PRIMARY KEY ({})", alter, key_list(table)), {}});
  }
  return changes;
}

}  // namespace etl::destination::postgres
