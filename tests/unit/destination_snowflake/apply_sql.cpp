#include "destination/snowflake/apply_sql.hpp"

#include <catch2/catch.hpp>

#include "tables.hpp"

using namespace etl;
using namespace etl::destination::snowflake;
using test::make_layout;
using test::make_table;

// That the statements do the right thing is what tests/integration/test_snowflake_apply.py is for.
namespace {

position const upto{lsn{0x16B374D848}, 7};
auto const orders = make_table({{"id", 20}, {"note", 25}}, {0});
auto const log_lines = make_table({{"at", 1184}, {"line", 25}}, {});

}  // namespace

TEST_CASE("a plain range is one MERGE of the newest row of each key, and is trimmed with it") {
  CHECK(apply_sql(make_layout(), orders).apply_up_to(upto, {.rows = 1}) ==
        R"(BEGIN
  BEGIN TRANSACTION;
  MERGE INTO "DB"."PUBLIC"."orders" AS t USING (SELECT "id", "note", "_etl_operation" FROM "DB"."ETL"."shop__orders" )"
        R"(WHERE "_etl_position" <= '00000016B374D8480000000000000007' QUALIFY ROW_NUMBER() OVER (PARTITION BY "id" )"
        R"(ORDER BY "_etl_position" DESC) = 1) AS s ON t."id" = s."id" WHEN MATCHED AND s."_etl_operation" = 'remove' )"
        R"(THEN DELETE WHEN MATCHED THEN UPDATE SET "note" = s."note" WHEN NOT MATCHED AND s."_etl_operation" <> )"
        R"('remove' THEN INSERT ("id", "note") VALUES (s."id", s."note");
  DELETE FROM "DB"."ETL"."shop__orders" WHERE "_etl_position" <= '00000016B374D8480000000000000007';
  COMMIT;
END)");
}

TEST_CASE("rows without a key are added once each") {
  CHECK(apply_sql(make_layout(), log_lines).apply_up_to(upto, {.rows = 1, .truncated = position{lsn{1}, 2}}) ==
        R"(BEGIN
  BEGIN TRANSACTION;
  DELETE FROM "DB"."PUBLIC"."orders" WHERE EXISTS (SELECT 1 FROM "DB"."ETL"."shop__orders" WHERE )"
        R"("_etl_operation" = 'truncate' AND "_etl_position" = '00000000000000010000000000000002');
  INSERT INTO "DB"."PUBLIC"."orders" ("at", "line") SELECT "at", "line" FROM "DB"."ETL"."shop__orders" WHERE )"
        R"("_etl_position" <= '00000016B374D8480000000000000007' AND "_etl_position" > )"
        R"('00000000000000010000000000000002' AND "_etl_operation" IN ('insert', 'copy') QUALIFY ROW_NUMBER() OVER )"
        R"((PARTITION BY "_etl_position" ORDER BY "_etl_position") = 1;
  DELETE FROM "DB"."ETL"."shop__orders" WHERE "_etl_position" <= '00000016B374D8480000000000000007';
  COMMIT;
END)");
}

TEST_CASE("what the survey says") {
  struct {
    std::vector<std::optional<std::string>> row;
    bool understood;
  } const cases[] = {
      {{"3", std::nullopt, "0", "0"}, true},
      {{"3", upto.to_text(), "1", "2"}, true},
      {{"0", std::nullopt, std::nullopt, std::nullopt}, true},
      {{"3", "x", "1", "2"}, false},
      {{"3", std::nullopt, "1"}, false},
      {{std::nullopt, std::nullopt, "1", "1"}, false},
      {{"", std::nullopt, "1", "1"}, false},
  };
  for (auto const& c : cases) CHECK(apply_sql::parse_survey(c.row).has_value() == c.understood);
  auto const found = apply_sql::parse_survey(cases[1].row);
  REQUIRE(found);
  CHECK(found->rows == 3);
  CHECK(found->truncated == upto);
  CHECK(found->partial);
  CHECK(found->rekeys);
}

TEST_CASE("a task runs once a minute at most") {
  auto all = make_layout(config::apply_mode::task);
  all.apply_every = std::chrono::seconds(90);
  CHECK(apply_sql(all, orders).create_task()[1].find("SCHEDULE = '2 MINUTE'") != std::string::npos);
  all.apply_every = std::chrono::seconds(5);
  CHECK(apply_sql(all, orders).create_task()[1].find("SCHEDULE = '1 MINUTE'") != std::string::npos);
}
