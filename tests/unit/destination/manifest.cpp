#include "destination/file/manifest.hpp"

#include <boost/json/object.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <string>

#include "rows.hpp"

using etl::position;
using etl::result;
using etl::destination::file::manifest;
using etl::test::at;
using etl::test::content_of;
using etl::test::manifest_lines;
using etl::test::temporary_directory;
using etl::test::write_file;

namespace {

using documents = std::map<std::string, std::string>;

void append(manifest& to, std::uint64_t n, std::vector<etl::model::document> changed) {
  boost::json::array steps;
  steps.push_back(boost::json::object{{"truncated", boost::json::array()}, {"at", at(n).to_text()}});
  REQUIRE(to.append(at(n), std::move(steps), changed));
}

}  // namespace

TEST_CASE("a new manifest is empty and knows nothing") {
  temporary_directory here;
  auto const opened = manifest::open(here / "m");
  REQUIRE(opened);
  CHECK(opened->durable() == position{});
  CHECK(opened->documents().empty());
  CHECK(content_of(here / "m").empty());
}

TEST_CASE("position and documents are those of the last line") {
  temporary_directory here;
  {
    auto first = manifest::open(here / "m");
    append(*first, 1, {{"a", "1"}, {"b", "1"}});
    append(*first, 2, {{"a", "2"}});
    append(*first, 3, {{"b", ""}, {"c", "3"}});
    CHECK(first->documents() == documents{{"a", "2"}, {"c", "3"}});
  }
  auto const again = manifest::open(here / "m");
  REQUIRE(again);
  CHECK(again->durable() == at(3));
  CHECK(again->documents() == documents{{"a", "2"}, {"c", "3"}});
}

TEST_CASE("every few lines one has all documents, and opening reads no further back") {
  temporary_directory here;
  auto const path = here / "manifest.ndjson";
  constexpr auto every = manifest::complete_every;
  constexpr unsigned lines = 3 * every + 10;
  {
    std::optional<manifest> open(*manifest::open(path));
    for (unsigned n = 1; n <= lines; ++n) {
      std::vector<etl::model::document> changed{{"n", std::to_string(n)}};
      if (n == 1) changed.push_back({"once", std::string(1000, 'o')});
      if (n == 2) changed.push_back({"gone", "x"});
      if (n == 3) changed.push_back({"gone", ""});
      append(*open, n, changed);
      // Opening again in between must not make complete lines rarer.
      if (n % 100 == 0) open.emplace(*manifest::open(path));
    }
  }
  auto const all = manifest_lines(here.path());
  REQUIRE(all.size() == lines);
  unsigned since = 0;
  for (auto const& line : all) {
    since = line.at("complete").as_bool() ? 0 : since + 1;
    CHECK(since < every);
  }
  documents const wanted{{"n", std::to_string(lines)}, {"once", std::string(1000, 'o')}};
  CHECK(manifest::open(path)->documents() == wanted);

  // The start is not read any more: it may be anything.
  auto content = content_of(path);
  content.replace(0, 5000, std::string(4999, '?') + '\n');
  write_file(path, content);
  auto const opened = manifest::open(path);
  REQUIRE(opened);
  CHECK(opened->durable() == at(lines));
  CHECK(opened->documents() == wanted);
}

TEST_CASE("a line longer than what is read at first") {
  temporary_directory here;
  std::string const large(300'000, 'v');
  {
    auto first = manifest::open(here / "m");
    append(*first, 1, {{"a", "1"}});
    append(*first, 2, {{"large", large}});
  }
  auto const again = manifest::open(here / "m");
  REQUIRE(again);
  CHECK(again->documents() == documents{{"a", "1"}, {"large", large}});
}

TEST_CASE("wherever an append was cut off, the lines before it count") {
  temporary_directory here;
  std::string before, whole;
  {
    auto first = manifest::open(here / "m");
    append(*first, 1, {{"a", "1"}});
    before = content_of(here / "m");
    append(*first, 2, {{"a", "2"}});
    whole = content_of(here / "m");
  }
  for (auto size = before.size(); size <= whole.size(); ++size) {
    CAPTURE(size);
    write_file(here / "cut", whole.substr(0, size));
    auto opened = manifest::open(here / "cut");
    REQUIRE(opened);
    bool const complete = size == whole.size();
    CHECK(opened->durable() == at(complete ? 2 : 1));
    CHECK(content_of(here / "cut") == (complete ? whole : before));
    append(*opened, 3, {{"b", "3"}});
    CHECK(manifest::open(here / "cut")->documents() == documents{{"a", complete ? "2" : "1"}, {"b", "3"}});
  }
}

TEST_CASE("what a power failure can leave of the last append is cut off, other damage is refused") {
  temporary_directory here;
  std::string one, two;
  {
    auto first = manifest::open(here / "m");
    append(*first, 1, {{"a", "1"}});
    one = content_of(here / "m");
    append(*first, 2, {{"a", "2"}});
    two = content_of(here / "m").substr(one.size());
  }
  struct {
    std::string content;
    bool opens;
  } const cases[] = {
      {one + std::string(500, '\0'), true},
      {one + std::string(100'000, '\0'), true},
      {one + std::string(500, '\0') + '\n', true},
      {std::string(50, '\0'), true},
      {"garbage\n" + one, true},  // nobody looks behind a complete line
      {"garbage\n" + two, false},
      {one + "garbage\n" + two, false},
      {one + "garbage\ngarbage\n", false},
      {one + "{\"position\":\"short\"}\n" + two, false},
      {one + "[]\n" + two, false},
  };
  for (auto const& c : cases) {
    CAPTURE(c.content.substr(0, 300));
    write_file(here / "damaged", c.content);
    auto const opened = manifest::open(here / "damaged");
    CHECK(opened.has_value() == c.opens);
    if (!opened) CHECK(opened.error().code == "destination.manifest_damaged");
  }
}
