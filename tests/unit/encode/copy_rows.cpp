#include "encode/copy_rows.hpp"

#include <catch2/catch.hpp>

#include "rows.hpp"

using namespace etl;
using model::operation;
using namespace std::string_literals;

TEST_CASE("rows as COPY tuples") {
  struct {
    char const* name;
    operation kind;
    std::vector<std::uint16_t> key;
    test_row old_values;
    test_row new_row;
    std::string wanted;  // the bytes, or the error's code
  } const cases[] = {
      {"all columns",
       operation::insert,
       {0},
       {},
       test_row({"7", "", nullptr}),
       "\0\3\0\0\0\1"
       "7\0\0\0\0\xff\xff\xff\xff"s},
      {"a copied row",
       operation::copy,
       {0},
       {},
       test_row({"7", nullptr, binary_value{"\0\1"s}}),
       "\0\3\0\0\0\1"
       "7\xff\xff\xff\xff\0\0\0\2\0\1"s},
      {"unchanged",
       operation::update,
       {0},
       {},
       test_row({"7", unchanged_value{}, "z"}),
       "\0\3\0\0\0\1"
       "7\xff\xff\xff\xfe\0\0\0\1z"s},
      {"the key of a removed row, in its order",
       operation::remove,
       {2, 0},
       test_row({"7", "x", "9"}),
       {},
       "\0\2\0\0\0\1"
       "9\0\0\0\1"
       "7"s},
      {"old key and new row",
       operation::rekey,
       {0},
       test_row({"7", nullptr, nullptr}),
       test_row({"8", unchanged_value{}, nullptr}),
       "\0\1\0\0\0\1"
       "7\0\3\0\0\0\1"
       "8\xff\xff\xff\xfe\xff\xff\xff\xff"s},
      {"without a key the whole row is removed",
       operation::remove,
       {},
       test_row({"7", nullptr, "9"}),
       {},
       "\0\3\0\0\0\1"
       "7\xff\xff\xff\xff\0\0\0\1"
       "9"s},
      {"no key to change", operation::rekey, {}, test_row({"7", "x", "9"}), test_row({"8", "x", "9"}), "data.no_key"},
      {"too few values", operation::insert, {0}, {}, test_row({"7"}), "encode.columns"},
      {"too few old values", operation::rekey, {0}, test_row({"7"}), test_row({"7", "x", "9"}), "encode.columns"},
  };
  for (auto const& c : cases) {
    INFO(c.name);
    auto const table = make_relation({{"a", 23}, {"b", 25}, {"c", 25}}, c.key);
    buffer out;
    auto const done = encode::encode_copy_row(out, table, c.kind, c.old_values, c.new_row);
    CHECK((done ? std::string(out.view()) : std::string(done.error().code)) == c.wanted);
    if (!done) CHECK(out.empty());
  }
}

TEST_CASE("a row without columns is a tuple without fields") {
  buffer out;
  REQUIRE(encode::encode_copy_row(out, make_relation({}, {}), operation::insert, {}, {}).has_value());
  CHECK(out.view() == "\0\0"s);
}
