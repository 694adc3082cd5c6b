#include "encode/arrow_rows.hpp"

#include <catch2/catch.hpp>

#include "arrow_reader.hpp"
#include "encode/copy_rows.hpp"
#include "rows.hpp"

using namespace etl;
using model::operation;
using namespace std::string_literals;

namespace {

constexpr int own_columns = 5;

class rows_of {
 public:
  explicit rows_of(model::relation table) { rows_.table = std::make_shared<model::relation const>(std::move(table)); }

  rows_of& add(operation kind, test_row const& old_values, test_row const& new_row,
               std::int64_t commit_time = model::no_commit_time) {
    auto const before = rows_.bytes.size();
    REQUIRE(encode::encode_copy_row(rows_.bytes, *rows_.table, kind, old_values, new_row).has_value());
    rows_.rows.push_back({static_cast<std::uint32_t>(rows_.bytes.size() - before), kind});
    rows_.origins.push_back({{lsn{7}, rows_.rows.size()}, commit_time});
    return *this;
  }
  [[nodiscard]] result<std::shared_ptr<encode::arrow_batch const>> encode(
      encode::infinities infinite = encode::infinities::refused) const {
    encode::arrow_options options;
    options.infinite = infinite;
    return encode::arrow_encoder(rows_.table, options).encode(rows_);
  }
  [[nodiscard]] model::table_rows& rows() { return rows_; }

 private:
  model::table_rows rows_;
};

model::relation one_column(std::uint32_t oid, std::string type_name, std::uint32_t element) {
  model::relation table;
  table.schema = "public";
  table.name = "t";
  table.oid = 99;
  table.columns.push_back({.name = "c",
                           .type_oid = oid,
                           .type_name = type_name,
                           .base_type_name = type_name,
                           .base_type_oid = oid,
                           .element_oid = element});
  return table;
}

}  // namespace

TEST_CASE("values in Arrow") {
  struct {
    char const* name;
    std::uint32_t oid;
    char const* type_name;
    std::uint32_t element;
    test_row::cell value;
    char const* wanted;  // or the error's code
  } const cases[] = {
      {"null", 23, "integer", 0, nullptr, "null"},
      {"true", 16, "boolean", 0, "t", "true"},
      {"false", 16, "boolean", 0, "f", "false"},
      {"the least bigint", 20, "bigint", 0, "-9223372036854775808", "-9223372036854775808"},
      {"the greatest oid", 26, "oid", 0, "4294967295", "4294967295"},
      {"a float", 701, "double precision", 0, "0.1", "0.1"},
      {"a float's infinity", 700, "real", 0, "-Infinity", "-inf"},
      {"numeric", 1700, "numeric(10,2)", 0, "-12345678.90", "-1234567890"},
      {"NaN", 1700, "numeric(10,2)", 0, "NaN", "data.unrepresentable"},
      {"NaN where numerics are text", 1700, "numeric", 0, "NaN", "NaN"},
      {"60 digits as text", 1700, "numeric", 0, "123456789012345678901234567890123456789012345678901234567890.5",
       "123456789012345678901234567890123456789012345678901234567890.5"},
      {"text", 25, "text", 0, "\u00e4\u20ac and an ASCII tail that is longer than a block",
       "\u00e4\u20ac and an ASCII tail that is longer than a block"},
      {"empty text", 25, "text", 0, "", ""},
      {"not UTF-8", 25, "text", 0, "sixteen letters \xe4", "data.encoding"},
      {"not UTF-8 in a short text", 25, "text", 0, "\xff", "data.encoding"},
      {"bytea", 17, "bytea", 0, "\\x616263", "abc"},
      {"date", 1082, "date", 0, "1970-01-02", "1"},
      {"infinite date", 1082, "date", 0, "infinity", "data.unrepresentable"},
      {"24:00:00", 1083, "time without time zone", 0, "24:00:00", "86400000000"},
      {"timestamp", 1114, "timestamp without time zone", 0, "1970-01-01 00:00:01", "1000000"},
      {"timestamptz", 1184, "timestamp with time zone", 0, "1970-01-01 00:00:01+00", "1000000"},
      {"infinite timestamp", 1184, "timestamp with time zone", 0, "-infinity", "data.unrepresentable"},
      {"interval", 1186, "interval", 0, "1 mon -2 days -00:00:01", "1 -2 -1000000000"},
      {"an interval beyond nanoseconds", 1186, "interval", 0, "2562048:00:00", "data.unrepresentable"},
      {"uuid", 2950, "uuid", 0, "00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899aabbccddeeff"},
      {"jsonb", 3802, "jsonb", 0, "{\"n\": 1234567890123456789012345678901234567890}",
       "{\"n\": 1234567890123456789012345678901234567890}"},
      {"a bit string", 1560, "bit(3)", 0, "101", "101"},
      {"an empty array", 1007, "integer[]", 23, "{}", "[]"},
      {"an array", 1007, "integer[]", 23, "{1,NULL,-3}", "[1,null,-3]"},
      {"quoted elements", 1009, "text[]", 25, R"({"a \"b\" \\",NULL,"NULL","",plain,"c,d","{}"})",
       R"([a "b" \,null,NULL,,plain,c,d,{}])"},
      {"bytea elements", 1001, "bytea[]", 17, R"({"\\x6162","\\x"})", "[ab,]"},
      {"timestamp elements", 1115, "timestamp[]", 1114, R"({"1970-01-01 00:00:01"})", "[1000000]"},
      {"an array of two dimensions", 1007, "integer[]", 23, "{{1,2},{3,4}}", "data.unrepresentable"},
      {"an array that starts at 0", 1007, "integer[]", 23, "[0:1]={1,2}", "data.unrepresentable"},
      {"an element that does not fit", 1231, "numeric(3,1)[]", 1700, "{1.5,NaN}", "data.unrepresentable"},
      {"half an array", 1009, "text[]", 25, "{\"a", "data.unrepresentable"},
      {"an array cut off behind a comma", 1009, "text[]", 25, "{a,}", "data.unrepresentable"},
  };
  for (auto const& c : cases) {
    INFO(c.name);
    rows_of rows(one_column(c.oid, c.type_name, c.element));
    rows.add(operation::insert, {}, std::vector<test_row::cell>{c.value})
        .add(operation::insert, {}, test_row({nullptr}));
    auto const batch = rows.encode();
    if (!batch) {
      CHECK(batch.error().code == c.wanted);
      CHECK(batch.error().kind == severity::data);
      CHECK(batch.error().table == 99);
      CHECK(batch.error().message.find("column \"c\" of \"public\".\"t\"") != std::string::npos);
      continue;
    }
    arrow_reader const reader(*batch);
    CHECK(reader.ended());
    CHECK(reader.cell(own_columns, 0) == c.wanted);
    CHECK(reader.cell(own_columns, 1) == "null");
  }
}

TEST_CASE("infinite dates and timestamps as extremes") {
  struct {
    std::uint32_t oid;
    char const* text;
    char const* wanted;
  } const cases[] = {
      {1082, "infinity", "2147483647"},
      {1082, "-infinity", "-2147483647"},
      {1114, "infinity", "9223372036854775807"},
      {1184, "-infinity", "-9223372036854775807"},
      {1082, "1970-01-01", "0"},
  };
  for (auto const& c : cases) {
    INFO(c.oid << " " << c.text);
    auto const batch = rows_of(one_column(c.oid, "", 0))
                           .add(operation::insert, {}, test_row({c.text}))
                           .encode(encode::infinities::extremes);
    REQUIRE(batch.has_value());
    CHECK(arrow_reader(*batch).cell(own_columns, 0) == c.wanted);
  }
}

TEST_CASE("null instead of values that have no form") {
  struct {
    std::uint32_t oid;
    char const* type_name;
    std::uint32_t element;
    char const* good;
    char const* bad;
    char const* read;
  } const cases[] = {
      {1700, "numeric(10,2)", 0, "1.50", "NaN", "150"},
      {1082, "date", 0, "1970-01-02", "infinity", "1"},
      {1186, "interval", 0, "1 mon", "2562048:00:00", "1 0 0"},
      {1231, "numeric(3,1)[]", 1700, "{1.5,NULL,2}", "{1.5,NULL,NaN}", "[15,null,20]"},
      {1000, "boolean[]", 16, "{t,f,NULL,t,t,t,t,t,t}", "{t,NULL,t,{f}}",
       "[true,false,null,true,true,true,true,true,true]"},
      {1009, "text[]", 25, "{a,NULL,\"\"}", "{a,\"bc\",NULL,{d}}", "[a,null,]"},
      {1007, "integer[]", 23, "{1,2}", "[0:1]={1,2}", "[1,2]"},
  };
  for (auto const& c : cases) {
    INFO(c.type_name);
    rows_of rows(one_column(c.oid, c.type_name, c.element));
    for (auto const* const text : {c.good, c.bad, c.bad, c.good}) rows.add(operation::insert, {}, test_row({text}));
    encode::arrow_options options;
    options.on_unrepresentable.exceptions = {{"public", "t", "other", encode::unrepresentable::null}};
    auto const refused = encode::arrow_encoder(rows.rows().table, options).encode(rows.rows());
    REQUIRE(!refused);
    CHECK(refused.error().hint.find("[destination.columns.'\"public\".\"t\".\"c\"']") != std::string::npos);

    options.on_unrepresentable.exceptions[0].column = "c";
    auto const batch = encode::arrow_encoder(rows.rows().table, options).encode(rows.rows());
    REQUIRE(batch.has_value());
    arrow_reader const reader(*batch);
    for (int row : {0, 3}) CHECK(reader.cell(own_columns, row) == c.read);
    for (int row : {1, 2}) CHECK(reader.cell(own_columns, row) == "null");

    auto keyed = *rows.rows().table;
    keyed.key = {0};
    rows.rows().table = std::make_shared<model::relation const>(keyed);
    CHECK_FALSE(encode::arrow_encoder(rows.rows().table, options).encode(rows.rows()).has_value());
  }
}

TEST_CASE("what each row is") {
  auto const table = make_relation({{"a", 23}, {"b", 25}, {"c", 23}}, {2, 0});
  auto const batch =
      rows_of(table)
          .add(operation::insert, {}, test_row({"1", "x", "10"}), 0)
          .add(operation::update, {}, test_row({"2", unchanged_value{}, "20"}), -946'684'800'000'000)
          .add(operation::remove, test_row({"3", "x", "30"}), {})
          .add(operation::rekey, test_row({"4", nullptr, "40"}), test_row({"5", unchanged_value{}, "50"}))
          .add(operation::copy, {}, test_row({"6", nullptr, "60"}))
          .encode();
  REQUIRE(batch.has_value());
  arrow_reader const reader(*batch);
  char const* const wanted[][8] = {
      {"insert", "00000000000000070000000000000001", "946684800000000", "null", "null", "1", "x", "10"},
      {"update", "00000000000000070000000000000002", "0", "null", "[b]", "2", "null", "20"},
      {"remove", "00000000000000070000000000000003", "null", "null", "null", "3", "null", "30"},
      {"rekey", "00000000000000070000000000000004", "null", "{40,4}", "[b]", "5", "null", "50"},
      {"copy", "00000000000000070000000000000005", "null", "null", "null", "6", "null", "60"},
  };
  REQUIRE(reader.rows().length == 5);
  REQUIRE(reader.schema().n_children == 8);
  for (std::int64_t row = 0; row < 5; ++row) {
    INFO("row " << row);
    for (std::int64_t column = 0; column < 8; ++column) CHECK(reader.cell(column, row) == wanted[row][column]);
  }
  CHECK(reader.schema().children[5]->name == "a"s);
  CHECK(reader.schema().children[3]->children[0]->name == "c"s);
}

TEST_CASE("extension types say their name") {
  auto const batch = rows_of(one_column(2950, "uuid", 0)).encode();
  REQUIRE(batch.has_value());
  arrow_reader const reader(*batch);
  CHECK(reader.rows().length == 0);
  auto const* const metadata = reader.schema().children[own_columns]->metadata;
  REQUIRE(metadata != nullptr);
  CHECK(std::string(metadata + 4, 35) == "\x14\0\0\0ARROW:extension:name\x0a\0\0\0arrow.u"s);
}

TEST_CASE("a batch lives as long as the last that reads it") {
  auto batch = rows_of(one_column(25, "text", 0)).add(operation::insert, {}, test_row({"kept"})).encode();
  REQUIRE(batch.has_value());
  std::weak_ptr<encode::arrow_batch const> const watched = *batch;
  ArrowArrayStream stream;
  encode::export_stream(*std::move(batch), &stream);
  ArrowArray rows;
  REQUIRE(stream.get_next(&stream, &rows) == 0);
  stream.release(&stream);
  CHECK(stream.release == nullptr);
  // A reader may take one child away from the others.
  ArrowArray text = *rows.children[own_columns];
  rows.children[own_columns]->release = nullptr;
  rows.release(&rows);
  CHECK_FALSE(watched.expired());
  CHECK(std::string(static_cast<char const*>(text.buffers[2]), 4) == "kept");
  text.release(&text);
  CHECK(watched.expired());
}

TEST_CASE("bytes that are no rows are a bug") {
  for (std::string const& bytes : {""s, "\0\1"s, "\0\2\0\0\0\1x\0\0\0\1x"s, "\0\1\0\0\0\5x"s, "\0\1\0\0\0\1xy"s}) {
    rows_of rows(one_column(25, "text", 0));
    rows.rows().bytes.append(bytes);
    rows.rows().rows.push_back({static_cast<std::uint32_t>(bytes.size())});
    rows.rows().origins.emplace_back();
    auto const batch = rows.encode();
    REQUIRE_FALSE(batch.has_value());
    CHECK(batch.error().code == "encode.rows");
  }
}
