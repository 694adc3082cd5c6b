#include <catch2/catch.hpp>

#include "destination/postgres/copy_format.hpp"
#include "destination/postgres/definition.hpp"
#include "destination/postgres/table_sql.hpp"
#include "destination/postgres/transferable.hpp"
#include "unit/destination_postgres/row_text.hpp"

using namespace etl;
using namespace etl::test;
using namespace etl::destination::postgres;
using namespace std::string_literals;

TEST_CASE("rows for COPY in text are escaped") {
  auto const table = relation("t", {column("a", 25, "text"), column("b", 25, "text"), column("c", 25, "text")}, {2, 0});
  copy_format const text(destination::encoding::copy_text, *table);
  struct expectation {
    std::vector<cell> cells;
    std::string line;
  };
  for (auto const& [cells, line] :
       std::vector<expectation>{{{"1", "", null}, "1\t\t\\N\n"},
                                {{"\\N", "\\.", "a\\b"}, "\\\\N\t\\\\.\ta\\\\b\n"},
                                {{"\t", "\r\n", "\b\f\v"}, "\\t\t\\r\\n\t\\b\\f\\v\n"},
                                {{"\xc3\xa4", "\"quoted\"", "x y"}, "\xc3\xa4\t\"quoted\"\tx y\n"}}) {
    buffer out;
    text.begin(out);
    text.row(out, tuple(cells));
    text.end(out);
    CHECK(out.view() == line);
  }
  buffer out;
  text.staged_row(out, 12, tuple({"1", unchanged, "3"}));
  text.staged_key(out, 0, fields({"3", "1"}));
  CHECK(out.view() == "12\t1\t\\N\t3\n0\t1\t\\N\t3\n");
}

TEST_CASE("rows for COPY BINARY keep their bytes") {
  auto const table = relation("t", {column("a", 25, "text"), column("b", 25, "text")}, {1});
  copy_format const binary_rows(destination::encoding::copy_binary, *table);
  buffer out;
  binary_rows.begin(out);
  CHECK(out.view() == "PGCOPY\n\377\r\n\0"s + std::string(8, '\0'));
  out.clear();
  binary_rows.row(out, tuple({"1", null}));
  CHECK(out.view() == tuple({"1", null}));
  out.clear();
  binary_rows.staged_row(out, 3, tuple({unchanged, "2"}));
  CHECK(out.view() == tuple({binary(std::int16_t{3}), null, "2"}));
  out.clear();
  binary_rows.staged_key(out, 0, fields({"2"}));
  CHECK(out.view() == tuple({binary(std::int16_t{0}), null, "2"}));
  out.clear();
  binary_rows.end(out);
  CHECK(out.view() == "\377\377");
}

TEST_CASE("an update writes the key only where equal keys may differ in spelling") {
  auto const sets = [](std::uint32_t key_type, bool with_key) {
    table_sql const sql(*relation("t", {column("k", key_type, "t"), column("v", 25, "text")}, {0}));
    return sql.columns_to_set({}, with_key);
  };
  using columns = std::vector<std::uint16_t>;
  CHECK(sets(20, false) == columns{1});       // bigint
  CHECK(sets(20, true) == columns{0, 1});     // a row that changes its key
  CHECK(sets(1700, false) == columns{0, 1});  // numeric: 1.0 and 1.00
  CHECK(sets(25, false) == columns{0, 1});    // text, under a collation that ignores case
  table_sql const only_key(*relation("t", {column("k", 20, "bigint")}, {0}));
  CHECK(only_key.columns_to_set("0", false) == columns{0});
}

TEST_CASE("statements quote what they name") {
  auto const odd = relation("Odd \"name\"", {column("from", 20, "bigint"), column("a\"b", 25, "text")}, {0});
  table_sql const sql(*odd);
  CHECK(sql.remove() == R"(DELETE FROM ONLY "shop"."Odd ""name""" WHERE "from" = $1::bigint)");
  CHECK(sql.update({1}) == R"(UPDATE ONLY "shop"."Odd ""name""" SET "a""b" = $1 WHERE "from" = $2::bigint)");
  CHECK(sql.upsert() == R"(INSERT INTO "shop"."Odd ""name""" ("from", "a""b") OVERRIDING SYSTEM VALUE VALUES ($1, $2) )"
                        R"(ON CONFLICT ("from") DO UPDATE SET "a""b" = EXCLUDED."a""b" RETURNING (xmax = 0))");
}

namespace {

model::relation_ptr people() {
  return relation("people",
                  {column("id", 20, "bigint", true), column("name", 25, "text", true), column("age", 23, "integer")},
                  {0});
}

existing_table same_as_people() {
  return {'r', {{"id", "bigint", true}, {"name", "text", true}, {"age", "integer"}}, {{"id"}}};
}

known_types const every_type{{"bigint", "text", "integer"}};

}  // namespace

TEST_CASE("a table is created as the relation has it") {
  CHECK(create_table(*people(), every_type).value() ==
        R"(CREATE TABLE "shop"."people" ("id" bigint NOT NULL, "name" text NOT NULL, "age" integer, )"
        R"(PRIMARY KEY ("id")))");
  CHECK(create_table(*relation("log", {column("line", 25, "text")}, {}), every_type).value() ==
        R"(CREATE TABLE "shop"."log" ("line" text))");

  auto domain = column("code", 90'001, "shop.code");
  domain.type_kind = 'd';
  domain.base_type_name = "text";
  auto const with_domain = relation("t", {domain}, {});
  CHECK(create_table(*with_domain, {{"text", "shop.code"}}).value() == R"(CREATE TABLE "shop"."t" ("code" shop.code))");

  auto mood = column("mood", 90'002, "shop.mood");
  mood.type_kind = 'e';
  auto const refused = create_table(*relation("t", {mood}, {}, 77), every_type);
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == "destination.type_missing");
  CHECK(refused.error().table == 77);
}

TEST_CASE("an existing table is changed only where nothing can be lost") {
  using changes = std::vector<std::string>;
  struct expectation {
    char const* what;
    void (*change)(existing_table&);
    changes sql;
  };
  for (auto const& [what, change, sql] : std::vector<expectation>{
           {"equal", [](existing_table&) {}, {}},
           {"partitioned", [](existing_table& t) { t.kind = 'p'; }, {}},
           {"column missing",
            [](existing_table& t) { t.columns.pop_back(); },
            {R"(ALTER TABLE "shop"."people" ADD COLUMN "age" integer)"}},
           {"stricter than the source",
            [](existing_table& t) { t.columns[2].not_null = true; },
            {R"(ALTER TABLE "shop"."people" ALTER COLUMN "age" DROP NOT NULL)"}},
           {"required column that the source lacks",
            [](existing_table& t) { t.columns.push_back({"gone", "text", true}); },
            {R"(ALTER TABLE "shop"."people" ALTER COLUMN "gone" DROP NOT NULL)"}},
           {"column with a default that the source lacks",
            [](existing_table& t) { t.columns.push_back({"loaded_at", "date", true, true}); },
            {}},
           {"optional column that the source lacks",
            [](existing_table& t) { t.columns.push_back({"remark", "text"}); },
            {}},
           {"other unique indexes",
            [](existing_table& t) { t.unique_keys.insert(t.unique_keys.begin(), {"name", "id"}); },
            {}},
       }) {
    INFO(what);
    auto existing = same_as_people();
    change(existing);
    CHECK(fit_table(*people(), existing, every_type).value() == sql);
  }
}

TEST_CASE("a table that cannot take the rows is refused with the SQL that mends it") {
  struct expectation {
    char const* code;
    void (*change)(existing_table&);
    char const* hint;
  };
  for (auto const& [code, change, hint] : std::vector<expectation>{
           {"destination.not_a_table", [](existing_table& t) { t.kind = 'v'; }, "Rename"},
           {"destination.column_type", [](existing_table& t) { t.columns[0].type = "integer"; },
            R"(ALTER TABLE "shop"."people" ALTER COLUMN "id" TYPE bigint;)"},
           {"destination.column_generated", [](existing_table& t) { t.columns[2].generated = true; },
            "DROP EXPRESSION"},
           {"destination.key_missing", [](existing_table& t) { t.unique_keys = {{"id", "name"}, {"name"}}; },
            R"(CREATE UNIQUE INDEX ON "shop"."people" ("id");)"},
       }) {
    auto existing = same_as_people();
    change(existing);
    auto const refused = fit_table(*people(), existing, every_type);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == code);
    CHECK(refused.error().kind == severity::data);
    CHECK(refused.error().table == 1);
    CHECK(refused.error().hint.find(hint) != std::string::npos);
  }
}

TEST_CASE("binary transfer is for types that mean the same everywhere") {
  struct expectation {
    char const* what;
    std::uint32_t oid;
    char kind;
    std::uint32_t base;
    std::uint32_t element;
    bool transferable;
  };
  for (auto const& [what, oid, kind, base, element, transferable] : std::vector<expectation>{
           {"bigint", 20, 'b', 20, 0, true},
           {"jsonb", 3802, 'b', 3802, 0, true},
           {"numeric[]", 1231, 'b', 1231, 1700, true},
           {"int4range", 3904, 'r', 3904, 0, true},
           {"int4multirange", 4451, 'm', 4451, 0, true},
           {"an enum", 90'000, 'e', 90'000, 0, true},
           {"an array of enums", 90'001, 'b', 90'001, 90'000, false},
           {"a domain over bigint", 90'002, 'd', 20, 0, true},
           {"a domain over regclass", 90'003, 'd', 2205, 0, false},
           {"a domain over a user's type", 90'004, 'd', 90'009, 0, false},
           {"a composite", 90'005, 'c', 90'005, 0, false},
           {"an extension's type", 90'006, 'b', 90'006, 0, false},
           {"a user's range", 90'007, 'r', 90'007, 0, false},
           {"regclass", 2205, 'b', 2205, 0, false},
           {"tsquery", 3615, 'b', 3615, 0, false},
           {"oidvector", 30, 'b', 30, 26, false},
           {"regtype[]", 2211, 'b', 2211, 2206, false},
           {"aclitem[]", 1034, 'b', 1034, 1033, false},
       }) {
    INFO(what);
    auto one = column("c", oid, what);
    one.type_kind = kind;
    one.base_type_oid = base;
    one.element_oid = element;
    CHECK(destination::binary_transferable(*relation("t", {column("id", 20, "bigint"), one}, {0})) == transferable);
  }
}
