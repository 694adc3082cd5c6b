#include "encode/key.hpp"

#include <catch2/catch.hpp>

#include "rows.hpp"

using namespace etl;
using encode::hash_key;

namespace {

using key = std::vector<std::uint16_t>;

}  // namespace

TEST_CASE("equal keys hash alike whatever else is in the row") {
  key const columns{2, 0};
  auto const full = hash_key(test_row({"1", "note", "2"}), columns);
  CHECK(full == hash_key(test_row({"1", nullptr, "2"}), columns));
  CHECK(full == hash_key(test_row({"1", unchanged_value{}, "2", "more"}), columns));
  CHECK_FALSE(full == hash_key(test_row({"2", "note", "1"}), columns));
  CHECK_FALSE(full == hash_key(test_row({"1", "note", "2"}), key{0, 2}));
}

TEST_CASE("different keys hash differently") {
  std::string const long_text(300, 'x');
  std::vector<test_row> rows;
  rows.emplace_back(std::vector<test_row::cell>{"ab", "c"});
  rows.emplace_back(std::vector<test_row::cell>{"a", "bc"});
  rows.emplace_back(std::vector<test_row::cell>{"abc", ""});
  rows.emplace_back(std::vector<test_row::cell>{"abc", nullptr});
  rows.emplace_back(std::vector<test_row::cell>{"abc", unchanged_value{}});
  rows.emplace_back(std::vector<test_row::cell>{nullptr, "abc"});
  rows.emplace_back(std::vector<test_row::cell>{long_text, "c"});
  rows.emplace_back(std::vector<test_row::cell>{long_text + "c", ""});
  rows.emplace_back(std::vector<test_row::cell>{"c", long_text});
  rows.emplace_back(std::vector<test_row::cell>{"c", std::string(299, 'x') + "y"});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < rows.size(); ++j) {
      INFO(i << " and " << j);
      CHECK((hash_key(rows[i], key{0, 1}) == hash_key(rows[j], key{0, 1})) == (i == j));
    }
  }
}

// Around the size up to which keys are hashed in one piece, both ways have to agree on what a key is.
TEST_CASE("keys of every size hash the same from any row") {
  for (std::size_t size = 230; size < 270; ++size) {
    std::string const text(size, 'k');
    auto const narrow = hash_key(test_row({text, "1"}), key{0, 1});
    auto const wide = hash_key(test_row({"1", nullptr, text}), key{2, 0});
    CHECK(narrow == wide);
    CHECK_FALSE(narrow == hash_key(test_row({text + "k", "1"}), key{0, 1}));
  }
}
