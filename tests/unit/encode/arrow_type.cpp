#include "encode/arrow_type.hpp"

#include <catch2/catch.hpp>

using namespace etl;

namespace {

constexpr std::int32_t digits(std::int32_t precision, std::int32_t scale) {
  return (precision << 16 | (scale & 0x7ff)) + 4;
}

}  // namespace

TEST_CASE("what columns become in Arrow") {
  struct {
    char const* name;
    std::uint32_t oid;
    std::int32_t modifier;
    char const* base_type_name;
    std::uint32_t element_oid;
    char const* wanted;
    char const* format;
  } const cases[] = {
      {"boolean", 16, -1, "boolean", 0, "bool", "b"},
      {"smallint", 21, -1, "smallint", 0, "int16", "s"},
      {"integer", 23, -1, "integer", 0, "int32", "i"},
      {"bigint", 20, -1, "bigint", 0, "int64", "l"},
      {"oid", 26, -1, "oid", 0, "uint32", "I"},
      {"real", 700, -1, "real", 0, "float", "f"},
      {"double precision", 701, -1, "double precision", 0, "double", "g"},
      {"numeric", 1700, -1, "numeric", 0, "large_string", "U"},
      {"numeric(10,2)", 1700, digits(10, 2), "numeric(10,2)", 0, "decimal128(10, 2)", "d:10,2"},
      {"numeric(38,0)", 1700, digits(38, 0), "numeric(38,0)", 0, "decimal128(38, 0)", "d:38,0"},
      {"numeric(39,0)", 1700, digits(39, 0), "numeric(39,0)", 0, "large_string", "U"},
      {"more digits behind the point than in all", 1700, digits(3, 5), "numeric(3,5)", 0, "decimal128(5, 5)", "d:5,5"},
      {"rounded before the point", 1700, digits(3, -2), "numeric(3,-2)", 0, "decimal128(5, 0)", "d:5,0"},
      {"too many behind the point", 1700, digits(3, 40), "numeric(3,40)", 0, "large_string", "U"},
      {"a domain's numeric", 1700, -1, "numeric(8,3)", 0, "decimal128(8, 3)", "d:8,3"},
      {"text", 25, -1, "text", 0, "large_string", "U"},
      {"xml", 142, -1, "xml", 0, "large_string", "U"},
      {"bytea", 17, -1, "bytea", 0, "large_binary", "Z"},
      {"date", 1082, -1, "date", 0, "date32", "tdD"},
      {"time", 1083, -1, "time without time zone", 0, "time64[us]", "ttu"},
      {"timetz", 1266, -1, "time with time zone", 0, "large_string", "U"},
      {"timestamp", 1114, -1, "timestamp without time zone", 0, "timestamp[us]", "tsu:"},
      {"timestamptz", 1184, -1, "timestamp with time zone", 0, "timestamp[us, UTC]", "tsu:UTC"},
      {"interval", 1186, -1, "interval", 0, "month_day_nano_interval", "tin"},
      {"uuid", 2950, -1, "uuid", 0, "uuid", "w:16"},
      {"jsonb", 3802, -1, "jsonb", 0, "json", "U"},
      {"money", 790, -1, "money", 0, "large_string", "U"},
      {"a type of the user's own", 16500, -1, "public.mood", 0, "large_string", "U"},
      {"integer[]", 1007, -1, "integer[]", 23, "list<int32>", "+l"},
      {"numeric(10,2)[]", 1231, digits(10, 2), "numeric(10,2)[]", 1700, "list<decimal128(10, 2)>", "+l"},
      {"numeric[]", 1231, -1, "numeric[]", 1700, "large_string", "U"},
      {"box[], whose elements are set apart by semicolons", 1020, -1, "box[]", 603, "large_string", "U"},
      {"int2vector, which is written without braces", 22, -1, "int2vector", 21, "large_string", "U"},
  };
  for (auto const& c : cases) {
    INFO(c.name);
    model::column column{.name = "c", .type_oid = c.oid, .type_modifier = c.modifier};
    column.base_type_name = c.base_type_name;
    column.base_type_oid = c.oid;
    column.element_oid = c.element_oid;
    auto const type = encode::arrow_type_of(column);
    CHECK(type.to_text() == c.wanted);
    CHECK(type.format() == c.format);
  }
}
