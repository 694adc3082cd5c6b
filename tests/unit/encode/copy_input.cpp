#include "encode/copy_input.hpp"

#include <catch2/catch.hpp>
#include <memory>

using namespace etl;
using encode::copy_input;
using namespace std::string_literals;

namespace {

// A row as one text, or the error's words, or "-" for no row.
std::string split(copy_input& input, std::string const& message) {
  auto const exact = std::make_unique<char[]>(message.size());
  std::copy(message.begin(), message.end(), exact.get());
  std::vector<pgoutput::value> values(3);
  auto const is_row = input.split({exact.get(), message.size()}, values);
  if (!is_row) return is_row.error().message.substr(is_row.error().message.find(": ") + 2);
  if (!*is_row) return "-";
  std::string text;
  for (auto const& v : values) {
    text += v.kind == pgoutput::value_kind::null ? "[NULL]" : "[" + std::string(v.data) + "]";
  }
  return text;
}

std::string const header = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"s;

}  // namespace

TEST_CASE("text rows") {
  struct {
    std::string message;
    std::string wanted;
  } const cases[] = {
      {"1\n", "[1]"},
      {"\n", "[]"},
      {"\t\n", "[][]"},
      {"1\ttwo\t3\n", "[1][two][3]"},
      {"\\N\t\\\\N\tN\t\\N\n", "[NULL][\\N][N][NULL]"},
      {"a\\tb\\nc\\rd\\be\\ff\\vg\\\\h\n", "[a\tb\nc\rd\be\ff\vg\\h]"},
      {"\\\\\t\\\\\\\\\n", "[\\][\\\\]"},
      {"plain\tlong enough for two blocks, and a bit more\tx\\\\y\tlast one that is long enough as well\n",
       "[plain][long enough for two blocks, and a bit more][x\\y][last one that is long enough as well]"},
      {"no end", "a row has no end"},
      {"", "a row has no end"},
      {"a\\\n", "a row ends in a backslash"},
      {"a\\\tb\n", "a row ends in a backslash"},
  };
  copy_input input(false);
  for (auto const& c : cases) CHECK(split(input, c.message) == c.wanted);
}

TEST_CASE("tabs and escapes at every place of a block") {
  copy_input input(false);
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t tab = 0; tab <= size; ++tab) {
      std::string const left(tab, 'l'), right(size - tab, 'r');
      CHECK(split(input, left + "\t" + right + "\n") == "[" + left + "][" + right + "]");
      CHECK(split(input, left + "\\n" + right + "\t" + right + "\\\\" + left + "\n") ==
            "[" + left + "\n" + right + "][" + right + "\\" + left + "]");
    }
  }
}

TEST_CASE("text rows without columns") {
  copy_input input(false, false);
  CHECK(split(input, "\n") == "");
  CHECK(split(input, "1\n") == "a row without columns has values");
}

TEST_CASE("binary rows") {
  std::string const row = "\0\2\0\0\0\1x\xff\xff\xff\xff"s;
  SECTION("the header comes with the first row") {
    copy_input input(true);
    CHECK(split(input, header + row) == "[x][NULL]");
    CHECK(split(input, "\0\1\0\0\0\0"s) == "[]");
    CHECK(split(input, "\0\0"s) == "");
    CHECK(split(input, "\xff\xff"s) == "-");
    CHECK(split(input, row) == "data behind its end");
  }
  SECTION("by itself") {
    copy_input input(true);
    CHECK(split(input, header) == "-");
    CHECK(split(input, row) == "[x][NULL]");
  }
  SECTION("with the trailer, when there is no row") {
    copy_input input(true);
    CHECK(split(input, header + "\xff\xff"s) == "-");
  }
  SECTION("with an extension") {
    copy_input input(true);
    CHECK(split(input, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\3abc"s + row) == "[x][NULL]");
  }
  SECTION("cut anywhere it is refused") {
    auto const all = header + row;
    for (std::size_t size = 0; size < all.size(); ++size) {
      if (size == header.size()) continue;
      copy_input input(true);
      auto const found = split(input, all.substr(0, size));
      INFO(size << ": " << found);
      CHECK(found.find("[") == std::string::npos);
      CHECK(found != "-");
    }
  }
  SECTION("what no server sends") {
    struct {
      std::string message;
      std::string wanted;
    } const cases[] = {
        {row, "it does not begin with its signature"},
        {"PGCOPY\n\377\r\n\0\0\1\0\0\0\0\0\0"s + row, "unknown flags"},
        {header + "\xff\xfe"s, "a row has a negative number of columns"},
        {header + "\0\1\xff\xff\xff\xfe"s, "a row ends early"},
        {header + row + "x", "a row is longer than its columns"},
        {header + "\xff\xffx"s, "data behind its end"},
    };
    for (auto const& c : cases) {
      copy_input input(true);
      CHECK(split(input, c.message) == c.wanted);
    }
  }
}
