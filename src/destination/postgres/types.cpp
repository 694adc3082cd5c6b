#include "destination/postgres/types.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "destination/postgres/catalog.hpp"
#include "pg/type_definitions.hpp"

namespace etl::destination::postgres {
namespace {

std::string how_to_get(model::type_definition const& type) {
  if (!type.extension.empty()) {
    return fmt::format("At the destination: CREATE EXTENSION {} WITH SCHEMA {};",
                       model::quote_identifier(type.extension), model::quote_identifier(type.extension_schema));
  }
  if (type.kind == 'c') return "It is the row type of a table: make that table there first, with the same columns.";
  return "It is a base type without an extension: make it there first, as at the source.";
}

bool contains(std::vector<std::string> const& labels, std::string const& label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

result<void> add_missing(model::relation const& table, model::type_definition const& type,
                         std::vector<std::string> const& there, std::vector<std::string>& statements) {
  auto const missing =
      std::find_if(type.labels.begin(), type.labels.end(), [&](auto const& label) { return !contains(there, label); });
  if (missing == type.labels.end()) return result<void>();
  auto const add = [&](std::string const& label, std::string const& place) {
    return fmt::format("ALTER TYPE {} ADD VALUE IF NOT EXISTS {}{}", type.name, model::quote_literal(label), place);
  };
  auto const foreign =
      std::find_if(there.begin(), there.end(), [&](auto const& label) { return !contains(type.labels, label); });
  if (foreign != there.end()) {
    error failure{
        severity::data, "destination.enum_label",
        fmt::format("{}: enum {} has label {} at the source alone, and label {} at the destination alone",
                    table.quoted_name(), type.name, model::quote_literal(*missing), model::quote_literal(*foreign)),
        fmt::format("When the source renamed it, run at the destination: ALTER TYPE {} RENAME VALUE {} TO "
                    "{}; when it is new: {};",
                    type.name, model::quote_literal(*foreign), model::quote_literal(*missing), add(*missing, ""))};
    failure.table = table.oid;
    return failure;
  }
  for (auto label = missing; label != type.labels.end(); ++label) {
    if (contains(there, *label)) continue;
    std::string place;
    if (label != type.labels.begin()) {
      place = fmt::format(" AFTER {}", model::quote_literal(*(label - 1)));
    } else if (!there.empty()) {
      place = fmt::format(" BEFORE {}", model::quote_literal(there.front()));
    }
    statements.push_back(add(*label, place));
  }
  return result<void>();
}

}  // namespace

asio::awaitable<result<void>> make_types(pg::connection& connection, model::relation const& table) {
  std::vector<std::string> wanted;
  for (auto const& type : table.types) wanted.push_back(type.name);
  auto known = co_await find_types(connection, wanted);
  if (!known) co_return fail(std::move(known));
  if (known->names.size() == wanted.size()) co_return result<void>();

  // Pipelines that share types do not make them at the same moment.
  auto locked = co_await connection.query(std::string(schema_lock), "waiting for other pipelines to make types");
  if (!locked) co_return fail(std::move(locked));
  known = co_await find_types(connection, std::move(wanted));
  if (!known) co_return fail(std::move(known));
  for (auto const& type : table.types) {
    if (known->has(type.name)) continue;
    if (type.create.empty()) {
      error failure{severity::data, "destination.type_missing",
                    fmt::format("{}: the destination has no type {}", table.quoted_name(), type.name),
                    how_to_get(type)};
      failure.table = table.oid;
      co_return failure;
    }
    auto made = co_await connection.query(
        fmt::format("CREATE SCHEMA IF NOT EXISTS {}; {}", model::quote_identifier(type.schema), type.create),
        fmt::format("making type {} at the destination", type.name));
    if (!made) co_return fail(std::move(made));
  }
  co_return result<void>();
}

asio::awaitable<result<std::vector<std::string>>> missing_labels(pg::connection& connection,
                                                                 model::relation const& table,
                                                                 std::vector<model::type_definition> const& types) {
  std::vector<std::string> statements;
  auto const there = co_await pg::find_types_named(connection, types);
  if (!there) co_return there.error();
  for (auto const& type : types) {
    auto const known = there->find(type.name);
    if (known == there->end() || type.create.empty()) continue;
    auto const& own = known->second;
    if (own.kind == 'e' && type.kind == 'e') {
      if (auto added = add_missing(table, type, own.labels, statements); !added) co_return fail(std::move(added));
    } else if (own.create != type.create) {
      error failure{
          severity::data, "destination.type_differs",
          fmt::format("{}: the source has {}, and the destination {}", table.quoted_name(), type.create,
                      own.create.empty() ? "another type of that name" : own.create),
          "Make it the same there (ALTER TYPE, ALTER DOMAIN), or drop it with what uses it: it is made anew then."};
      failure.table = table.oid;
      co_return failure;
    }
  }
  co_return statements;
}

}  // namespace etl::destination::postgres
