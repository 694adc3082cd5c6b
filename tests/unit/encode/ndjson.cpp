#include "encode/ndjson.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "rows.hpp"

namespace {

using namespace etl;
using encode::ndjson_encoder;
using encode::ndjson_options;
using encode::unrepresentable;
using model::operation;

constexpr std::uint32_t bool_oid = 16, int8_oid = 20, int4_oid = 23, text_oid = 25, json_oid = 114, float8_oid = 701,
                        numeric_oid = 1700, jsonb_oid = 3802, bytea_oid = 17, date_oid = 1082;
constexpr std::int64_t new_year_2026 = 820540800000000;
constexpr position somewhere{lsn{0x16B374D848}, 7};
std::string const somewhere_text = "00000016B374D8480000000000000007";

model::relation_ptr shared(model::relation table) { return std::make_shared<model::relation const>(std::move(table)); }

// The line without its metadata, "{" put back.
std::string columns_of(std::string line) {
  auto const time = line.find("\"_etl_commit_time\":");
  REQUIRE(time != std::string::npos);
  auto const end = line.find_first_of(",}", time);
  REQUIRE(line.back() == '\n');
  line.pop_back();
  CHECK_NOTHROW(boost::json::parse(line));
  return "{" + (line[end] == ',' ? line.substr(end + 1) : line.substr(end));
}

std::string encode_one(model::relation table, operation kind, test_row const& old_values, test_row const& new_row,
                       ndjson_options const& options = {}) {
  ndjson_encoder encoder(shared(std::move(table)), options);
  buffer out;
  auto const done = encoder.encode(out, kind, somewhere, new_year_2026, old_values, new_row);
  if (!done) return std::string(done.error().code);
  return columns_of(std::string(out.view()));
}

// One value as it stands in the line.
std::string value_of(std::uint32_t type, test_row::cell value, unrepresentable policy = unrepresentable::text) {
  ndjson_options options;
  options.on_unrepresentable.otherwise = policy;
  auto line =
      encode_one(make_relation({{"v", type}}, {}), operation::insert, {}, test_row({std::move(value)}), options);
  if (!line.starts_with("{\"v\":")) return line;
  return line.substr(5, line.size() - 6);
}

}  // namespace

TEST_CASE("a line starts with what the row is") {
  struct {
    operation kind;
    std::int64_t time;
    std::string wanted;
  } const cases[] = {
      {operation::insert, new_year_2026,
       R"({"_etl_position":"$","_etl_operation":"insert","_etl_commit_time":"2026-01-01T00:00:00.000000Z","id":1})"},
      {operation::update, new_year_2026 + 86399'123456,
       R"({"_etl_position":"$","_etl_operation":"update","_etl_commit_time":"2026-01-01T23:59:59.123456Z","id":1})"},
      {operation::remove, -1,
       R"({"_etl_position":"$","_etl_operation":"remove","_etl_commit_time":"1999-12-31T23:59:59.999999Z","id":0})"},
      {operation::copy, new_year_2026,
       R"({"_etl_position":"$","_etl_operation":"copy","_etl_commit_time":null,"id":1})"},
      {operation::rekey, 0,
       R"({"_etl_position":"$","_etl_operation":"rekey","_etl_commit_time":"2000-01-01T00:00:00.000000Z",)"
       R"("_etl_old_key":{"id":0},"id":1})"},
      {operation::insert, INT64_MAX,
       R"({"_etl_position":"$","_etl_operation":"insert","_etl_commit_time":null,"id":1})"},
  };
  ndjson_encoder encoder(shared(make_relation({{"id", int4_oid}}, {0})), {});
  buffer out;
  std::string wanted;
  for (auto const& c : cases) {
    REQUIRE(encoder.encode(out, c.kind, somewhere, c.time, test_row({"0"}), test_row({"1"})).has_value());
    auto line = c.wanted;
    wanted += line.replace(line.find('$'), 1, somewhere_text) + "\n";
  }
  CHECK(out.view() == wanted);
}

TEST_CASE("the names of the metadata can be chosen, and the position patched") {
  ndjson_options options;
  options.position_name = "p\"\\:";
  options.operation_name = "o";
  options.commit_time_name = "t";
  options.old_key_name = "k";
  ndjson_encoder encoder(shared(make_relation({{"id", int4_oid}, {"n", int4_oid}}, {0})), options);
  buffer out;
  REQUIRE(encoder.encode(out, operation::rekey, {}, 0, test_row({"1", nullptr}), test_row({"2", "3"})).has_value());
  CHECK(out.view() ==
        "{\"p\\\"\\\\:\":\"00000000000000000000000000000000\",\"o\":\"rekey\",\"t\":\"2000-01-01T00:00:00.000000Z\","
        "\"k\":{\"id\":1},\"id\":2,\"n\":3}\n");
  CHECK(out.view().substr(encoder.position_offset(), 33) == "00000000000000000000000000000000\"");
  ndjson_encoder::patch_position(out.data(), somewhere);
  CHECK(out.view().substr(encoder.position_offset(), 33) == somewhere_text + '"');
}

TEST_CASE("values") {
  struct {
    std::uint32_t type;
    test_row::cell value;
    std::string wanted;
  } const cases[] = {
      {bool_oid, "t", "true"},
      {bool_oid, "f", "false"},
      {bool_oid, nullptr, "null"},
      {int8_oid, "-9223372036854775808", "-9223372036854775808"},
      {numeric_oid, "0.1234567890123456789012345678901234567890", "0.1234567890123456789012345678901234567890"},
      {float8_oid, "1e+20", "1e+20"},
      {float8_oid, "-0", "-0"},
      {float8_oid, "NaN", "\"NaN\""},
      {numeric_oid, "-Infinity", "\"-Infinity\""},
      {json_oid, "{\n\t\"a\": 1,\r\n\"b\": \"\\n\"}", "{  \"a\": 1,  \"b\": \"\\n\"}"},
      {jsonb_oid, "[1, \"\xc3\xa4\"]", "[1, \"\xc3\xa4\"]"},
      {bytea_oid, "\\x00ff", "\"\\\\x00ff\""},
      {text_oid, "", "\"\""},
      {text_oid, "null", "\"null\""},
      {text_oid, "{1,NULL,\"NULL\"}", "\"{1,NULL,\\\"NULL\\\"}\""},
      {text_oid, std::string("\x01\x1f\x7f\b\f\n\r\t\"\\/"), "\"\\u0001\\u001f\x7f\\b\\f\\n\\r\\t\\\"\\\\/\""},
      {text_oid, "\xf0\x9f\x90\x98 \xe2\x82\xac", "\"\xf0\x9f\x90\x98 \xe2\x82\xac\""},
      {text_oid, nullptr, "null"},
      {text_oid, "\xff", "data.encoding"},
      {json_oid, "\"\xc3\"", "data.encoding"},
      {text_oid, binary_value{"x"}, "encode.binary"},
  };
  for (auto const& c : cases) CHECK(value_of(c.type, c.value) == c.wanted);
}

TEST_CASE("numbers that JSON cannot write") {
  for (auto const* number : {"NaN", "Infinity", "-Infinity"}) {
    CHECK(value_of(float8_oid, number, unrepresentable::text) == '"' + std::string(number) + '"');
    CHECK(value_of(float8_oid, number, unrepresentable::null) == "null");
    CHECK(value_of(float8_oid, number, unrepresentable::error) == "data.unrepresentable");
  }
}

TEST_CASE("values for typed columns") {
  constexpr std::uint32_t time_oid = 1083, timestamptz_oid = 1184;
  constexpr std::int32_t ten_and_two = (10 << 16 | 2) + 4;
  struct {
    std::uint32_t type;
    std::int32_t modifier;
    std::string value;
    std::string wanted;
  } const cases[] = {
      {numeric_oid, ten_and_two, "1.50", "\"1.50\""},
      {numeric_oid, ten_and_two, "NaN", "data.beyond_range"},
      {numeric_oid, -1, "NaN", "\"NaN\""},
      {bytea_oid, -1, "\\x00ff", "\"00ff\""},
      {bytea_oid, -1, "\\x", "\"\""},
      {date_oid, -1, "2026-01-31", "\"2026-01-31\""},
      {numeric_oid, (50 << 16 | 2) + 4, "NaN", "\"NaN\""},  // a text at the destination
      {date_oid, -1, "infinity", "data.beyond_range"},
      {date_oid, -1, "0044-03-15 BC", "data.beyond_range"},
      {date_oid, -1, "10000-01-01", "data.beyond_range"},
      {time_oid, -1, "23:59:59.999", "\"23:59:59.999\""},
      {time_oid, -1, "24:00:00", "data.beyond_range"},
      {timestamptz_oid, -1, "2026-01-31 10:00:00-05:30", "\"2026-01-31 10:00:00-05:30\""},
      {timestamptz_oid, -1, "-infinity", "data.beyond_range"},
  };
  ndjson_options options;
  options.numeric_as_text = options.bare_hex = true;
  options.typed = true;
  for (auto const& c : cases) {
    auto table = make_relation({{"v", c.type}}, {});
    table.columns[0].type_modifier = c.modifier;
    auto const line = encode_one(table, operation::insert, {}, test_row({c.value}), options);
    CHECK(line == (c.wanted.starts_with("data.") ? c.wanted : "{\"v\":" + c.wanted + "}"));
  }
  options.on_unrepresentable.otherwise = unrepresentable::null;
  CHECK(encode_one(make_relation({{"v", date_oid}}, {}), operation::insert, {}, test_row({"infinity"}), options) ==
        R"({"v":null})");
}

TEST_CASE("columns have a policy of their own for what cannot be written") {
  auto table = make_relation({{"id", float8_oid}, {"a", float8_oid}, {"b", date_oid}}, {0});
  table.schema = "public";
  table.name = "t";
  ndjson_options options;
  options.typed = true;
  options.on_unrepresentable.otherwise = unrepresentable::error;
  auto const encoded = [&](char const* id, char const* a, char const* b) {
    return encode_one(table, operation::insert, {}, test_row({id, a, b}), options);
  };
  CHECK(encoded("1", "NaN", "2026-01-01") == "data.unrepresentable");
  options.on_unrepresentable.exceptions = {{"public", "t", "a", unrepresentable::text},
                                           {"public", "t", "b", unrepresentable::null},
                                           {"public", "t", "id", unrepresentable::null},
                                           {"public", "other", "a", unrepresentable::error}};
  CHECK(encoded("1", "NaN", "infinity") == R"({"id":1,"a":"NaN","b":null})");
  CHECK(encoded("NaN", "1", "2026-01-01") == "data.unrepresentable");  // rows would become one
  options.on_unrepresentable.exceptions[1].policy = unrepresentable::text;
  CHECK(encoded("1", "NaN", "infinity") == "data.beyond_range");
}

TEST_CASE("columns that are unchanged can be listed") {
  ndjson_options options;
  options.unchanged_name = "_etl_unchanged";
  auto const table = make_relation({{"id", int4_oid}, {"a,%\"", text_oid}, {"b", text_oid}}, {0});
  unchanged_value const same;
  CHECK(encode_one(table, operation::update, {}, test_row({"1", same, same}), options) ==
        R"({"id":1,"_etl_unchanged":",a%2C%25\",b,"})");
  CHECK(encode_one(table, operation::update, {}, test_row({"1", nullptr, same}), options) ==
        R"({"id":1,"a,%\"":null,"_etl_unchanged":",b,"})");
  CHECK(encode_one(table, operation::update, {}, test_row({"1", "x", "y"}), options) ==
        R"({"id":1,"a,%\"":"x","b":"y"})");
  CHECK(encode_one(table, operation::rekey, test_row({"0", nullptr, nullptr}), test_row({"1", same, "y"}), options) ==
        R"({"_etl_old_key":{"id":0},"id":1,"b":"y","_etl_unchanged":",a%2C%25\","})");
  CHECK(encode::listed_name("a,%") == ",a%2C%25,");
}

TEST_CASE("a domain is written as the type below it") {
  auto table = make_relation({{"v", 99999}}, {});
  table.columns[0].base_type_oid = int4_oid;
  CHECK(encode_one(table, operation::insert, {}, test_row({"5"})) == R"({"v":5})");
  table.columns[0].base_type_oid = 0;
  CHECK(encode_one(table, operation::insert, {}, test_row({"5"})) == R"({"v":"5"})");
}

TEST_CASE("which columns an operation carries") {
  std::vector<std::pair<std::string, std::uint32_t>> const columns{{"a", int4_oid}, {"b", text_oid}, {"c", int4_oid}};
  std::vector<std::uint16_t> const key{2, 0};
  struct {
    operation kind;
    std::vector<std::uint16_t> key;
    test_row old_values;
    test_row new_row;
    std::string wanted;
  } const cases[] = {
      {operation::insert, key, {}, test_row({"1", "x", "2"}), R"({"a":1,"b":"x","c":2})"},
      {operation::update, key, {}, test_row({"1", unchanged_value{}, "2"}), R"({"a":1,"c":2})"},
      {operation::remove, key, test_row({"1", "x", "2"}), {}, R"({"c":2,"a":1})"},
      {operation::remove, {}, test_row({"1", "x", "2"}), {}, R"({"a":1,"b":"x","c":2})"},
      {operation::rekey, key, test_row({"1", nullptr, "2"}), test_row({"1", unchanged_value{}, "3"}),
       R"({"_etl_old_key":{"c":2,"a":1},"a":1,"c":3})"},
      {operation::rekey, {}, test_row({"1", nullptr, "2"}), test_row({"1", "x", "3"}), "data.no_key"},
      {operation::insert, key, {}, test_row({"1", "x"}), "encode.columns"},
      {operation::remove, key, test_row({"1"}), {}, "encode.columns"},
  };
  for (auto const& c : cases) {
    CHECK(encode_one(make_relation(columns, c.key), c.kind, c.old_values, c.new_row) == c.wanted);
  }
  CHECK(encode_one(make_relation({}, {}), operation::insert, {}, {}) == "{}");
}

TEST_CASE("column names of every length and kind") {
  for (std::size_t length = 1; length <= 63; ++length) {
    std::string const name(length, 'n');
    CHECK(encode_one(make_relation({{name, int4_oid}, {name + "2", int4_oid}}, {}), operation::insert, {},
                     test_row({"1", "2"})) == "{\"" + name + "\":1,\"" + name + "2\":2}");
  }
  CHECK(encode_one(make_relation({{"q\"\\\xc3\xa4\n", int4_oid}}, {}), operation::insert, {}, test_row({"1"})) ==
        "{\"q\\\"\\\\\xc3\xa4\\n\":1}");
  CHECK(encode_one(make_relation({{"\xff", int4_oid}}, {}), operation::insert, {}, test_row({"1"})) == "data.encoding");
}

TEST_CASE("rows of any size fit") {
  for (std::size_t const size : {0, 1, 100, 2700, 2731, 16383, 16384, 16385, 100'000}) {
    for (char const byte : {'x', '\x01', '"'}) {
      std::string const escaped = byte == 'x' ? "x" : byte == '"' ? "\\\"" : "\\u0001";
      std::string wanted;
      for (std::size_t i = 0; i < size; ++i) wanted += escaped;
      CHECK(value_of(text_oid, std::string(size, byte)) == '"' + wanted + '"');
    }
  }
}

TEST_CASE("an error leaves the buffer as it was, names table and column, and never the value") {
  ndjson_encoder encoder(shared(make_relation({{"id", int4_oid}, {"note", text_oid}}, {0})), {});
  buffer out;
  out.append("before");
  auto const failed = encoder.encode(out, operation::insert, somewhere, 0, {}, test_row({"1", "secret\xff"}));
  REQUIRE_FALSE(failed.has_value());
  CHECK(out.view() == "before");
  CHECK(failed.error().kind == severity::data);
  CHECK(failed.error().table == 16384);
  CHECK(failed.error().to_text().find(R"("note" of "public"."orders")") != std::string::npos);
  CHECK(failed.error().to_text().find("secret") == std::string::npos);
}
