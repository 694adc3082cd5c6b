#include "pipeline/schema_change.hpp"

#include <catch2/catch.hpp>

using namespace etl;
using namespace etl::pipeline;

namespace {

struct place {
  char const* name;
  std::int16_t number;
  std::uint32_t type = 23;
};

model::relation table(std::vector<place> const& columns, std::vector<std::uint16_t> key = {0}) {
  model::relation made;
  made.oid = 5;
  made.schema = "public";
  made.name = "t";
  for (auto const& [name, number, type] : columns) {
    model::column column;
    column.name = name;
    column.attribute_number = number;
    column.type_oid = column.base_type_oid = type;
    column.type_name = column.base_type_name = "type " + std::to_string(type);
    column.stamp = 100;
    made.columns.push_back(column);
  }
  for (auto const index : key) made.columns[index].key = true;
  made.key = std::move(key);
  return made;
}

// A message with these columns, of which the first is flagged as key.
struct told {
  explicit told(std::vector<char const*> const& names) {
    for (auto const* name : names) columns.push_back({columns.empty(), name, 23, -1});
  }
  [[nodiscard]] pgoutput::relation message(char identity = 'd') const { return {5, "public", "t", identity, columns}; }
  std::vector<pgoutput::relation_column> columns;
};

}  // namespace

TEST_CASE("columns of a message are numbered by what was known before and what the catalog says now") {
  struct expectation {
    char const* what;
    std::vector<place> known;
    std::vector<char const*> message;
    std::vector<place> catalog;
    std::vector<std::int16_t> numbers;  // empty: not certain
  };
  for (auto const& [what, known, message, catalog, wanted] : std::vector<expectation>{
           {"renamed", {{"id", 1}, {"a", 2}}, {"id", "b"}, {{"id", 1}, {"b", 2}}, {1, 2}},
           {"renamed twice since", {{"id", 1}, {"a", 2}}, {"id", "b"}, {{"id", 1}, {"c", 2}}, {1, 2}},
           {"swapped", {{"a", 1}, {"b", 2}}, {"b", "a"}, {{"b", 1}, {"a", 2}}, {1, 2}},
           {"swapped and swapped back", {{"a", 1}, {"b", 2}}, {"b", "a"}, {{"a", 1}, {"b", 2}}, {1, 2}},
           {"dropped", {{"id", 1}, {"a", 2}, {"b", 3}}, {"id", "b"}, {{"id", 1}, {"b", 3}}, {1, 3}},
           {"dropped and added under one name", {{"id", 1}, {"a", 2}}, {"id", "a"}, {{"id", 1}, {"a", 3}}, {1, 3}},
           {"added, dropped since", {{"id", 1}, {"a", 2}}, {"id", "a", "b"}, {{"id", 1}, {"a", 2}}, {}},
           {"added, and another since", {{"id", 1}}, {"id", "a"}, {{"id", 1}, {"a", 2}, {"b", 3}}, {1, 2}},
           {"added, and swapped since",
            {{"id", 1}, {"a", 2}},
            {"id", "a", "b"},
            {{"id", 1}, {"b", 2}, {"a", 3}},
            {1, 2, 3}},
           {"still there, dropped since",
            {{"id", 1}, {"a", 2}, {"b", 3}},
            {"id", "a", "c"},
            {{"id", 1}, {"c", 3}},
            {1, 2, 3}},
           {"dropped, and its name taken", {{"id", 1}, {"a", 2}, {"b", 3}}, {"id", "a"}, {{"id", 1}, {"a", 3}}, {1, 3}},
           {"dropped, its name taken and given up",
            {{"id", 1}, {"a", 2}, {"b", 3}},
            {"id", "a"},
            {{"id", 1}, {"z", 3}},
            {1, 3}},
           {"unknown in between", {{"id", 1}, {"a", 2}}, {"id", "x"}, {{"id", 1}, {"z", 5}}, {}},
       }) {
    INFO(what);
    auto const before = table(known), now = table(catalog);
    told const said(message);
    auto const next = from_message(said.message(), before, &now);
    CHECK(next.certain == !wanted.empty());
    if (!next.certain) continue;
    std::vector<std::int16_t> found;
    for (auto const& column : next.relation.columns) found.push_back(column.attribute_number);
    CHECK(found == wanted);
    CHECK(next.relation.key == std::vector<std::uint16_t>{0});
  }
}

TEST_CASE("what matches a message") {
  auto const known = table({{"id", 1}, {"a", 2}});
  CHECK(matches(known, told({"id", "a"}).message()));
  CHECK_FALSE(matches(known, told({"a", "id"}).message()));
  CHECK_FALSE(matches(known, told({"id", "a", "b"}).message()));
  CHECK_FALSE(matches(known, told({"id", "a"}).message('i')));
  CHECK_FALSE(matches(table({{"id", 1}, {"a", 2}}, {1}), told({"id", "a"}).message()));  // another key
}

TEST_CASE("rows have to be read again where the stream did not bring what changed") {
  known_schema known;
  known.relation = std::make_shared<model::relation const>(table({{"id", 1}, {"a", 2}}));
  known.heaps = {{5, 70}};
  auto same = table({{"id", 1}, {"a", 2}});
  CHECK_FALSE(rewritten(known, same, {{5, 71}}));  // VACUUM FULL
  auto altered = same;
  altered.columns[1].stamp = 101;
  CHECK_FALSE(rewritten(known, altered, {{5, 70}}));  // no row changed
  CHECK(rewritten(known, altered, {{5, 71}}));
  CHECK(rewritten(known, table({{"id", 1}, {"a", 2}, {"b", 3}}), {{5, 71}}));  // a volatile default
  CHECK_FALSE(rewritten(known, altered, {{6, 71}}));                           // another partition

  auto filled = table({{"id", 1}, {"a", 2}, {"b", 3}});
  CHECK_FALSE(fills(*known.relation, filled));
  filled.columns[2].has_fill = true;
  CHECK(fills(*known.relation, filled));

  auto const renamed = table({{"id", 1}, {"b", 2}});
  CHECK(renames(*known.relation, renamed));
  known.former = former_names(known, renamed);
  CHECK(known.former == std::vector<std::string>{"a"});
  known.relation = std::make_shared<model::relation const>(renamed);
  CHECK(reuses_name(known, table({{"id", 1}, {"b", 2}, {"a", 3}})));
  CHECK(reuses_name(known, table({{"id", 1}, {"b", 3}})));
  CHECK_FALSE(reuses_name(known, table({{"id", 1}, {"b", 2}, {"c", 3}})));
}

TEST_CASE("a known schema as a document") {
  auto full = table({{"id \"ä\"", 1, 20}, {"a", 4, 16'500}}, {1, 0});
  full.identity = model::replica_identity::index;
  full.columns[1].type_kind = 'd';
  full.columns[1].base_type_oid = 1009;
  full.columns[1].base_type_name = "text[]";
  full.columns[1].element_oid = 25;
  full.columns[1].type_modifier = 24;
  full.columns[0].not_null = true;
  known_schema known;
  known.relation = std::make_shared<model::relation const>(full);
  known.heaps = {{5, 70}, {6, 71}};
  known.former = {"gone"};
  known.copied_from = lsn{77};
  known.copied_snapshot = "10:20:15";
  known.gone = true;
  auto const read = known_schema::parse(known.to_document());
  REQUIRE(read);
  CHECK(read->to_document() == known.to_document());
  CHECK(same_schema(*read->relation, full));
  CHECK(read->relation->columns[1].base_type_name == "text[]");
  for (auto const* damaged : {"", "[]", "{}", R"({"oid":1})"}) CHECK_FALSE(known_schema::parse(damaged));
}
