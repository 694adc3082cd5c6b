#include "destination/snowflake/table_sql.hpp"

#include <catch2/catch.hpp>

#include "tables.hpp"

using namespace etl;
using namespace etl::destination::snowflake;
using test::make_layout;
using test::make_table;

namespace {

auto const orders = make_table({{"id", 20}, {"Note", 25}, {"price", 1700, (10 << 16 | 2) + 4}}, {0});

}  // namespace

TEST_CASE("the objects of a table") {
  table_sql const sql(make_layout(), orders);
  CHECK(sql.create_schema() == R"(CREATE SCHEMA IF NOT EXISTS "DB"."ETL")");
  CHECK(sql.create_landing() ==
        R"(CREATE TABLE IF NOT EXISTS "DB"."ETL"."shop__orders" ("_etl_position" VARCHAR, "_etl_operation" VARCHAR, )"
        R"("_etl_commit_time" TIMESTAMP_TZ, "_etl_old_key" VARIANT, "_etl_unchanged" VARCHAR, "id" NUMBER(38, 0), )"
        R"("Note" VARCHAR, "price" NUMBER(10, 2)))");
  CHECK(sql.create_target() ==
        R"(CREATE TABLE IF NOT EXISTS "DB"."PUBLIC"."orders" ("id" NUMBER(38, 0) NOT NULL, "Note" VARCHAR, )"
        R"("price" NUMBER(10, 2), PRIMARY KEY ("id")))");
  table_sql const upper(make_layout(config::apply_mode::merge, config::name_case::upper), orders);
  CHECK(upper.create_target() ==
        R"(CREATE TABLE IF NOT EXISTS "DB"."PUBLIC"."ORDERS" ("ID" NUMBER(38, 0) NOT NULL, "NOTE" VARCHAR, )"
        R"("PRICE" NUMBER(10, 2), PRIMARY KEY ("ID")))");
}

TEST_CASE("a table that exists is made to fit") {
  table_sql const sql(make_layout(), orders);
  auto const fitting = sql.fit_target({{{"price", "NUMBER(8,2)"}, {"id", "NUMBER(38,0)"}, {"more", "VARIANT"}}});
  REQUIRE(fitting.has_value());
  CHECK(*fitting == std::vector<std::string>{
                        R"(ALTER TABLE "DB"."PUBLIC"."orders" ADD COLUMN IF NOT EXISTS "Note" VARCHAR)",
                        R"(ALTER TABLE "DB"."PUBLIC"."orders" ALTER COLUMN "price" SET DATA TYPE NUMBER(10, 2))"});
  auto const misfit = sql.fit_target({{{"id", "FLOAT"}}});
  REQUIRE_FALSE(misfit.has_value());
  CHECK(misfit.error().code == "destination.column_type");
  CHECK(misfit.error().table == 16384);
  CHECK(misfit.error().hint.find(R"(ALTER TABLE "DB"."PUBLIC"."orders" RENAME COLUMN "id" TO "id_before";)") !=
        std::string::npos);
}

TEST_CASE("columns that Snowflake could not tell apart") {
  CHECK(table_sql(make_layout(), orders).check().has_value());
  for (auto const& table : {make_table({{"id", 20}, {"ID", 20}}, {0}), make_table({{"_ETL_position", 20}}, {0})}) {
    auto const checked = table_sql(make_layout(), table).check();
    REQUIRE_FALSE(checked.has_value());
    CHECK(checked.error().code == "destination.column_name");
  }
}
