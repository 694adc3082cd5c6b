#include "config/table_filter.hpp"

#include <catch2/catch.hpp>

using namespace etl::config;

TEST_CASE("a pattern names tables as SQL does") {
  struct row {
    std::string_view pattern, schema, name;
    bool hit;
  };
  auto const& [pattern, schema, name, hit] = GENERATE(values<row>({
      {"orders", "public", "orders", true},
      {"orders", "sales", "orders", false},
      {"Orders", "public", "orders", true},
      {"Orders", "public", "Orders", false},
      {R"("Orders")", "public", "Orders", true},
      {R"("Orders")", "public", "orders", false},
      {"SALES.Orders", "sales", "orders", true},
      {R"(sales."a.b")", "sales", "a.b", true},
      {R"("a.b".c)", "a.b", "c", true},
      {R"("a.b".c)", "a", "b.c", false},
      {R"("say ""hi""")", "public", R"(say "hi")", true},
      {R"("")", "public", "", false},
      {"sales.*", "sales", "anything at all", true},
      {"sales.*", "sales2", "orders", false},
      {"*.orders", "sales", "orders", true},
      {"*.*", "sales", "orders", true},
      {"*", "public", "orders", true},
      {"*", "sales", "orders", false},
      {"sales.*", "sales", "a.b", true},
      {"tmp_*", "public", "tmp_", true},
      {"tmp_*", "public", "tmp", false},
      {"*_old", "public", "orders_old", true},
      {"*_old", "public", "orders_old2", false},
      {"a*b*c", "public", "aXbYc", true},
      {"a*b*c", "public", "abc", true},
      {"a*b*c", "public", "acb", false},
      {"a*bc*bc", "public", "abcbc", true},
      {"a*bc*bc", "public", "abc", false},
      {"ab*ba", "public", "aba", false},
      {R"("A*"*)", "public", "A*b", true},
      {R"("A*"*)", "public", "Ab", false},
      {R"("*")", "public", "x", false},
      {R"("*")", "public", "*", true},
      {R"(my"Own"_*)", "public", "myOwn_1", true},
      {R"("with space")", "public", "with space", true},
      {"übung", "public", "übung", true},
  }));
  CAPTURE(pattern, schema, name);
  auto const parsed = table_pattern::parse(pattern);
  if (pattern == R"("")") {
    CHECK_FALSE(parsed.has_value());
    return;
  }
  REQUIRE(parsed.has_value());
  CHECK(parsed->matches(schema, name) == hit);
}

TEST_CASE("what does not name a table is refused with a reason") {
  struct row {
    std::string text, reason;
  };
  auto const& [text, reason] = GENERATE(values<row>({
      {"", "empty"},
      {".", "empty"},
      {"sales.", "empty"},
      {".orders", "empty"},
      {"\"\".orders", "empty"},
      {"shop.sales.orders", "more than a schema and a name"},
      {"a b", "white space"},
      {"a\nb", "white space"},
      {"'a'", "'''"},
      {"!orders", "'!'"},
      {"a,b", "','"},
      {"\"open", "not closed"},
      {"\"a\"\"", "not closed"},
      {std::string(64, 'a'), "63 bytes"},
  }));
  CAPTURE(text);
  auto const parsed = table_pattern::parse(text);
  REQUIRE(parsed.has_error());
  CHECK(parsed.error().code == "config.table_pattern");
  CHECK(parsed.error().kind == etl::severity::config);
  CHECK_THAT(parsed.error().message, Catch::Contains(reason));
}

TEST_CASE("a pattern without a star gives its table") {
  auto const exact = table_pattern::parse(R"(Sales."Big Orders")");
  REQUIRE(exact.has_value());
  CHECK(exact->exact());
  CHECK(exact->schema() == "sales");
  CHECK(exact->name() == "Big Orders");
  CHECK_FALSE(table_pattern::parse("sales.*")->exact());
  CHECK_FALSE(table_pattern::parse("*.orders")->exact());
  CHECK(table_pattern::parse(R"("*")")->exact());
}

TEST_CASE("an exclude wins, and without includes every table is taken") {
  table_filter none;
  CHECK(none.empty());
  CHECK(none.matches("any", "thing"));

  table_filter only_excludes;
  REQUIRE(only_excludes.exclude("audit.*").has_value());
  CHECK_FALSE(only_excludes.empty());
  CHECK(only_excludes.matches("public", "orders"));
  CHECK_FALSE(only_excludes.matches("audit", "log"));

  table_filter both;
  REQUIRE(both.exclude("sales.tmp_*").has_value());
  REQUIRE(both.include("sales.*").has_value());
  REQUIRE(both.include("orders").has_value());
  CHECK(both.matches("sales", "orders"));
  CHECK(both.matches("public", "orders"));
  CHECK_FALSE(both.matches("sales", "tmp_1"));
  CHECK_FALSE(both.matches("public", "customers"));

  REQUIRE(both.exclude("sales.orders").has_value());
  CHECK_FALSE(both.matches("sales", "orders"));
  CHECK(both.include("a..b").has_error());
  CHECK(both.exclude("a b").has_error());
  CHECK(both.includes().size() == 2);
  CHECK(both.excludes().size() == 2);
}
