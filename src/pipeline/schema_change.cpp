#include "pipeline/schema_change.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

namespace etl::pipeline {
namespace {

namespace json = boost::json;

model::column const* by_name(model::relation const& table, std::string_view name) {
  auto const at = std::ranges::find(table.columns, name, &model::column::name);
  return at == table.columns.end() ? nullptr : &*at;
}

bool same_list(model::relation const& table, pgoutput::relation const& message) {
  return std::ranges::equal(table.columns, message.columns, [](auto const& a, auto const& b) {
    return a.name == b.name && a.type_oid == b.type_oid && a.type_modifier == b.type_modifier;
  });
}

// The number of each of the message's columns. They come in the order of their numbers, and every column that was there
// before and is there now was there in between; with names that fit, this leaves no choice.
std::optional<std::vector<std::int16_t>> numbers(pgoutput::relation const& message, model::relation const& known,
                                                 model::relation const& catalog) {
  std::vector<std::int16_t> found;
  if (same_list(catalog, message)) {
    for (auto const& column : catalog.columns) found.push_back(column.attribute_number);
    return found;
  }
  // Where no column that was there before is gone, and none that came since, names say nothing: they may be handed on.
  for (auto const& column : known.columns) {
    if (catalog.find_column(column.attribute_number) != nullptr) found.push_back(column.attribute_number);
  }
  if (found.size() == message.columns.size()) return found;
  bool no_gap = found.size() == known.columns.size() && !found.empty();
  for (auto const& column : catalog.columns) {
    if (!no_gap || column.attribute_number <= found.back()) continue;
    no_gap = column.attribute_number == found.back() + 1;
    found.push_back(column.attribute_number);
  }
  if (no_gap && found.size() >= message.columns.size() && message.columns.size() >= known.columns.size()) {
    found.resize(message.columns.size());
    return found;
  }
  found.clear();
  std::set<std::int16_t> candidates;
  for (auto const& column : known.columns) candidates.insert(column.attribute_number);
  for (auto const& column : catalog.columns) candidates.insert(column.attribute_number);
  auto at = candidates.begin();
  for (auto const& column : message.columns) {
    auto const fits = [&](std::int16_t number) {
      auto const* const before = known.find_column(number);
      auto const* const now = catalog.find_column(number);
      return (before != nullptr && before->name == column.name) || (now != nullptr && now->name == column.name);
    };
    for (; at != candidates.end() && !fits(*at); ++at) {
      if (known.find_column(*at) != nullptr && catalog.find_column(*at) != nullptr) return std::nullopt;  // left out
    }
    if (at == candidates.end()) return std::nullopt;
    found.push_back(*at++);
  }
  for (; at != candidates.end(); ++at) {
    if (known.find_column(*at) != nullptr && catalog.find_column(*at) != nullptr) return std::nullopt;
  }
  return found;
}

// The columns that a message flags, or, where it flags all, those that the catalog knows.
std::vector<std::uint16_t> key_of(model::relation const& table, pgoutput::relation const& message,
                                  model::relation const& known, model::relation const* catalog) {
  auto const places_of = [&](model::relation const& other) {
    std::vector<std::uint16_t> places;
    for (auto const index : other.key) {
      auto const& wanted = other.columns[index];
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        bool const same = wanted.attribute_number == 0 || table.columns[i].attribute_number == 0
                              ? table.columns[i].name == wanted.name
                              : table.columns[i].attribute_number == wanted.attribute_number;
        if (same) places.push_back(static_cast<std::uint16_t>(i));
      }
    }
    return places.size() == other.key.size() ? places : std::vector<std::uint16_t>{};
  };
  bool const flags_say_it =
      table.identity == model::replica_identity::by_default || table.identity == model::replica_identity::index;
  if (!flags_say_it) return places_of(catalog != nullptr ? *catalog : known);
  std::vector<std::uint16_t> flagged;
  for (std::size_t i = 0; i < message.columns.size(); ++i) {
    if (message.columns[i].key) flagged.push_back(static_cast<std::uint16_t>(i));
  }
  // The order of the key's columns is the catalog's.
  for (auto const* const other : {catalog, &known}) {
    if (other == nullptr) continue;
    auto places = places_of(*other);
    if (std::ranges::is_permutation(places, flagged)) return places;
  }
  return flagged;
}

bool flags_fit(model::relation const& known, pgoutput::relation const& message) {
  if (known.identity == model::replica_identity::full || known.identity == model::replica_identity::nothing)
    return true;
  for (std::size_t i = 0; i < message.columns.size(); ++i) {
    bool const in_key = std::ranges::find(known.key, i) != known.key.end();
    if (message.columns[i].key != in_key) return false;
  }
  return true;
}

}  // namespace

bool matches(model::relation const& known, pgoutput::relation const& message) {
  return known.schema == message.schema && known.name == message.name &&
         static_cast<char>(known.identity) == message.replica_identity && same_list(known, message) &&
         flags_fit(known, message);
}

bool same_schema(model::relation const& a, model::relation const& b) {
  return a.schema == b.schema && a.name == b.name && a.identity == b.identity && a.key == b.key &&
         std::ranges::equal(a.columns, b.columns, [](auto const& x, auto const& y) {
           return x.name == y.name && x.attribute_number == y.attribute_number && x.type_oid == y.type_oid &&
                  x.type_modifier == y.type_modifier && x.type_name == y.type_name;
         });
}

next_schema from_message(pgoutput::relation const& message, model::relation const& known,
                         model::relation const* catalog) {
  next_schema next;
  auto& made = next.relation;
  made.oid = message.oid;
  made.version = known.version + 1;
  made.schema = message.schema;
  made.name = message.name;
  made.identity = static_cast<model::replica_identity>(message.replica_identity);
  made.computed = catalog != nullptr ? catalog->computed : known.computed;
  auto const numbered = numbers(message, known, catalog != nullptr ? *catalog : known);
  next.certain = numbered.has_value();
  next.ahead = catalog != nullptr && !same_list(*catalog, message);
  for (std::size_t i = 0; i < message.columns.size(); ++i) {
    auto const& told = message.columns[i];
    model::column column;
    column.name = told.name;
    column.type_oid = told.type_oid;
    column.type_modifier = told.type_modifier;
    auto const* const before = numbered ? known.find_column((*numbered)[i]) : by_name(known, told.name);
    auto const* const now = numbered && catalog != nullptr ? catalog->find_column((*numbered)[i]) : nullptr;
    if (numbered) {
      column.attribute_number = (*numbered)[i];
    } else if (before != nullptr) {
      column.attribute_number = before->attribute_number;
    }
    if (auto const* const from = now != nullptr && !next.ahead ? now : before; from != nullptr) {
      column.not_null = from->not_null;
      column.stamp = from->stamp;
    }
    if (now != nullptr) {
      column.has_fill = now->has_fill;
      // Spelled as a value of the type that the column has by now.
      if (now->type_oid == column.type_oid) column.fill = now->fill;
    }
    made.columns.push_back(std::move(column));
  }
  made.key = key_of(made, message, known, numbered ? catalog : nullptr);
  for (auto const index : made.key) made.columns[index].key = true;
  return next;
}

bool rewritten(known_schema const& known, model::relation const& next,
               std::vector<std::pair<std::uint32_t, std::uint32_t>> const& heaps) {
  bool const moved = std::ranges::any_of(known.heaps, [&](auto const& heap) {
    return std::ranges::any_of(heaps, [&](auto const& now) { return now.first == heap.first && now != heap; });
  });
  if (!moved) return false;
  // VACUUM FULL and TRUNCATE move a heap, too, and leave the columns alone.
  return std::ranges::any_of(next.columns, [&](auto const& column) {
    auto const* const before = known.relation->find_column(column.attribute_number);
    return before == nullptr || before->stamp != column.stamp || before->type_oid != column.type_oid;
  });
}

bool reuses_name(known_schema const& known, model::relation const& next) {
  return std::ranges::any_of(next.columns, [&](auto const& column) {
    if (column.attribute_number != 0 && known.relation->find_column(column.attribute_number) != nullptr) return false;
    return by_name(*known.relation, column.name) != nullptr || std::ranges::count(known.former, column.name) > 0;
  });
}

bool fills(model::relation const& known, model::relation const& next) {
  return std::ranges::any_of(next.columns, [&](auto const& column) {
    return column.has_fill && known.find_column(column.attribute_number) == nullptr;
  });
}

bool renames(model::relation const& known, model::relation const& next) {
  return std::ranges::any_of(next.columns, [&](auto const& column) {
    auto const* const before = known.find_column(column.attribute_number);
    return before != nullptr && before->name != column.name;
  });
}

std::vector<std::string> former_names(known_schema const& known, model::relation const& next) {
  auto names = known.former;
  for (auto const& column : known.relation->columns) {
    auto const* const now = next.find_column(column.attribute_number);
    bool const kept = now != nullptr && now->name == column.name;
    if (!kept && std::ranges::count(names, column.name) == 0) names.push_back(column.name);
  }
  return names;
}

// --- as a document ---------------------------------------------------------------------------------------------------

std::string known_schema::key(std::uint32_t relation_oid) { return fmt::format("schema/{}", relation_oid); }

std::string known_schema::to_document() const {
  json::array columns;
  for (auto const& c : relation->columns) {
    json::object column{{"name", c.name}, {"number", c.attribute_number}, {"type", c.type_oid}, {"stamp", c.stamp}};
    if (c.type_modifier != -1) column["modifier"] = c.type_modifier;
    column["type_name"] = c.type_name;
    if (c.base_type_oid != c.type_oid) {
      column["base"] = c.base_type_oid;
      column["base_name"] = c.base_type_name;
    }
    if (c.type_kind != 'b') column["kind"] = std::string(1, c.type_kind);
    if (c.element_oid != 0) column["element"] = c.element_oid;
    if (c.not_null) column["not_null"] = true;
    columns.push_back(std::move(column));
  }
  json::object document{
      {"oid", relation->oid},          {"schema", relation->schema},
      {"name", relation->name},        {"identity", std::string(1, static_cast<char>(relation->identity))},
      {"columns", std::move(columns)}, {"key", json::value_from(relation->key)}};
  json::array list;
  for (auto const& [oid, node] : heaps) list.push_back(json::array{oid, node});
  document["heaps"] = std::move(list);
  if (!former.empty()) document["former"] = json::value_from(former);
  if (copied_from != lsn{}) {
    document["copied_from"] = copied_from.to_text();
    document["copied_snapshot"] = copied_snapshot;
  }
  if (gone) document["gone"] = true;
  return json::serialize(document);
}

std::optional<known_schema> known_schema::parse(std::string_view text) {
  boost::system::error_code failed;
  auto const value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !value.is_object()) return std::nullopt;
  try {
    auto const& document = value.as_object();
    auto const number = [](json::object const& from, char const* name, std::int64_t otherwise) {
      auto const* const at = from.if_contains(name);
      return at == nullptr ? otherwise : json::value_to<std::int64_t>(*at);
    };
    auto const letter = [](json::object const& from, char const* name, char otherwise) {
      auto const* const at = from.if_contains(name);
      return at == nullptr ? otherwise : static_cast<char>(at->as_string().at(0));
    };
    model::relation table;
    table.oid = json::value_to<std::uint32_t>(document.at("oid"));
    table.schema = json::value_to<std::string>(document.at("schema"));
    table.name = json::value_to<std::string>(document.at("name"));
    table.identity = static_cast<model::replica_identity>(letter(document, "identity", 'd'));
    for (auto const& entry : document.at("columns").as_array()) {
      auto const& from = entry.as_object();
      model::column c;
      c.name = json::value_to<std::string>(from.at("name"));
      c.attribute_number = static_cast<std::int16_t>(number(from, "number", 0));
      c.type_oid = static_cast<std::uint32_t>(number(from, "type", 0));
      c.type_modifier = static_cast<std::int32_t>(number(from, "modifier", -1));
      c.stamp = static_cast<std::uint32_t>(number(from, "stamp", 0));
      c.type_name = json::value_to<std::string>(from.at("type_name"));
      auto const* const base_name = from.if_contains("base_name");
      c.base_type_name = base_name == nullptr ? c.type_name : json::value_to<std::string>(*base_name);
      c.base_type_oid = static_cast<std::uint32_t>(number(from, "base", c.type_oid));
      c.type_kind = letter(from, "kind", 'b');
      c.element_oid = static_cast<std::uint32_t>(number(from, "element", 0));
      c.not_null = from.contains("not_null");
      table.columns.push_back(std::move(c));
    }
    for (auto const index : json::value_to<std::vector<std::uint16_t>>(document.at("key"))) {
      table.columns.at(index).key = true;
      table.key.push_back(index);
    }
    known_schema found;
    found.relation = std::make_shared<model::relation const>(std::move(table));
    for (auto const& heap : document.at("heaps").as_array()) {
      found.heaps.emplace_back(json::value_to<std::uint32_t>(heap.at(0)), json::value_to<std::uint32_t>(heap.at(1)));
    }
    if (auto const* former = document.if_contains("former")) {
      found.former = json::value_to<std::vector<std::string>>(*former);
    }
    if (auto const* from = document.if_contains("copied_from")) {
      found.copied_from = lsn::parse(json::value_to<std::string>(*from)).value_or(lsn{});
      found.copied_snapshot = json::value_to<std::string>(document.at("copied_snapshot"));
    }
    found.gone = document.contains("gone");
    return found;
  } catch (std::exception const&) {  // a field is missing or of another type
    return std::nullopt;
  }
}

}  // namespace etl::pipeline
