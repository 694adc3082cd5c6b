#include "destination/snowflake/column_type.hpp"

#include <catch2/catch.hpp>

using namespace etl;
using namespace etl::destination::snowflake;

namespace {

std::int32_t numeric(int precision, int scale) { return (precision << 16 | (scale & 0x7FF)) + 4; }

model::column of(std::uint32_t oid, std::int32_t modifier = -1, std::string name = "") {
  return {.name = "c", .type_oid = oid, .type_modifier = modifier, .type_name = name, .base_type_oid = oid};
}

}  // namespace

TEST_CASE("the type that takes every value of a column") {
  struct {
    model::column column;
    std::string wanted;
  } const cases[] = {
      {of(16), "BOOLEAN"},
      {of(20), "NUMBER(38, 0)"},
      {of(700), "FLOAT"},
      {of(1700, numeric(10, 2)), "NUMBER(10, 2)"},
      {of(1700, numeric(38, 37)), "NUMBER(38, 37)"},
      {of(1700, numeric(38, 38)), "VARCHAR"},
      {of(1700, numeric(39, 0)), "VARCHAR"},
      {of(1700, numeric(3, 5)), "NUMBER(5, 5)"},
      {of(1700, numeric(3, -2)), "NUMBER(5, 0)"},
      {of(1700), "VARCHAR"},
      {of(1082), "DATE"},
      {of(1083), "TIME"},
      {of(1266), "VARCHAR"},
      {of(1114), "TIMESTAMP_NTZ"},
      {of(1184), "TIMESTAMP_TZ"},
      {of(17), "BINARY"},
      {of(3802), "VARIANT"},
      {of(1007, -1, "integer[]"), "VARCHAR"},
      {of(99999, -1, "geography(Point,4326)"), "GEOGRAPHY"},
      {of(99999, -1, "extensions.geometry"), "GEOMETRY"},
  };
  for (auto const& c : cases) CHECK(type_for(c.column).sql() == c.wanted);
}

TEST_CASE("types as DESCRIBE TABLE spells them, and what fits into what") {
  struct {
    std::string existing;
    model::column wanted;
    fitness fit;
  } const cases[] = {
      {"NUMBER(38,0)", of(23), fitness::fits},
      {"NUMBER(10,0)", of(23), fitness::can_be_widened},
      {"NUMBER(10,2)", of(1700, numeric(10, 2)), fitness::fits},
      {"NUMBER(10,2)", of(1700, numeric(12, 2)), fitness::can_be_widened},
      {"NUMBER(14,4)", of(1700, numeric(12, 2)), fitness::fits},
      {"NUMBER(12,4)", of(1700, numeric(12, 2)), fitness::does_not_fit},
      {"NUMBER(10,2)", of(1700, numeric(12, 4)), fitness::does_not_fit},
      {"FLOAT", of(23), fitness::does_not_fit},
      {"VARCHAR(16777216)", of(25), fitness::fits},
      {"VARCHAR(134217728)", of(25), fitness::fits},
      {"VARCHAR(10)", of(25), fitness::can_be_widened},
      {"VARCHAR(16777216)", of(23), fitness::fits},
      {"VARCHAR(10)", of(23), fitness::does_not_fit},
      {"VARCHAR(16777216)", of(3802), fitness::does_not_fit},
      {"NUMBER(38,0)", of(25), fitness::does_not_fit},
      {"TIMESTAMP_NTZ(9)", of(1114), fitness::fits},
      {"TIMESTAMP_NTZ(9)", of(1184), fitness::does_not_fit},
      {"BINARY(8388608)", of(17), fitness::fits},
      {"VARIANT", of(114), fitness::fits},
  };
  for (auto const& c : cases) {
    auto const existing = parse_type(c.existing);
    REQUIRE(existing);
    CHECK(fits(*existing, type_for(c.wanted)) == c.fit);
  }
  CHECK_FALSE(parse_type("VECTOR(FLOAT, 3)"));
  CHECK_FALSE(parse_type(""));
}

TEST_CASE("which values an UPDATE may leave out") {
  for (auto const oid : {25u, 17u, 114u, 3802u, 1700u, 1007u, 99999u}) CHECK(may_be_unchanged(of(oid)));
  for (auto const oid : {16u, 20u, 21u, 23u, 701u, 1184u, 2950u}) CHECK_FALSE(may_be_unchanged(of(oid)));
}
