#include "destination/snowflake/names.hpp"

#include <catch2/catch.hpp>

#include "tables.hpp"

using namespace etl;
using namespace etl::destination::snowflake;
using config::apply_mode;
using config::name_case;

TEST_CASE("names of a configuration file as Snowflake takes them") {
  CHECK(identifier("analytics") == "ANALYTICS");
  CHECK(identifier("\"Analytics\"") == "Analytics");
  CHECK(identifier("\"a\"\"b\"") == "a\"b");
  CHECK(identifier("\"") == "\"");
}

TEST_CASE("names of a table's objects") {
  struct {
    apply_mode apply;
    name_case names;
    std::string schema, name;
    std::string target, landing;
  } const cases[] = {
      {apply_mode::merge, name_case::preserve, "public", "orders", R"("DB"."PUBLIC"."orders")",
       R"("DB"."ETL"."shop__orders")"},
      {apply_mode::merge, name_case::upper, "sales", "Orders", R"("DB"."PUBLIC"."SALES__ORDERS")",
       R"("DB"."ETL"."SHOP__SALES__ORDERS")"},
      {apply_mode::append, name_case::preserve, "public", "a\"b", R"("DB"."PUBLIC"."a""b")", R"("DB"."PUBLIC"."a""b")"},
  };
  for (auto const& c : cases) {
    table_names const names(test::make_layout(c.apply, c.names), *test::make_table({}, {}, c.name, c.schema));
    CHECK(names.quoted_target() == c.target);
    CHECK(names.quoted_landing() == c.landing);
  }
}

TEST_CASE("no two tables share a channel") {
  auto const name = [](std::string const& pipeline, std::string const& schema, std::string const& table) {
    return channel_name(pipeline, *test::make_table({}, {}, table, schema), 0, 2);
  };
  CHECK(name("shop", "public", "orders") == "shop.public.orders.0of2");
  CHECK(name("shop", "a.b", "c") != name("shop", "a", "b.c"));
  CHECK(name("a-2E", "b", "c") != name("a.", "b", "c"));
  CHECK(name("shop", "public", "\xc3\xa4 -") == "shop.public.-C3-A4-20-2D.0of2");
}
