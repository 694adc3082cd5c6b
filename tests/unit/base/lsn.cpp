#include "base/lsn.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

using etl::lsn;
using etl::position;

TEST_CASE("an LSN is written and read as PostgreSQL spells it") {
  struct {
    std::uint64_t value;
    char const* text;
  } const cases[] = {
      {0, "0/0"}, {1, "0/1"}, {0x16B374D848, "16/B374D848"}, {0x1'00000000, "1/0"}, {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
  };
  for (auto const& c : cases) {
    CAPTURE(c.text);
    CHECK(lsn{c.value}.to_text() == c.text);
    CHECK(lsn::parse(c.text) == lsn{c.value});
  }
  CHECK(lsn::parse("16/b374d848") == lsn{0x16B374D848});
}

TEST_CASE("what is no LSN is not read as one") {
  for (std::string_view const text : {"", "/", "1", "1/", "/1", "1/2/3", "1/ 2", " 1/2", "1/2 ", "x/1", "1/x", "-1/0",
                                      "+1/0", "0x1/0", "123456789/0", "0/123456789"}) {
    CAPTURE(text);
    CHECK(lsn::parse(text) == std::nullopt);
  }
}

TEST_CASE("a position's text has one length, reads back, and sorts as the position does") {
  position const ordered[] = {
      {},
      {lsn{0}, 1},
      {lsn{0}, UINT64_MAX},
      {lsn{1}, 0},
      {lsn{0x9}, 5},
      {lsn{0xA}, 0},
      {lsn{0x16B374D848}, 7},
      {lsn{0x16B374D848}, 0x8000000000000000},
      {lsn{UINT64_MAX}, UINT64_MAX},
  };
  std::string before;
  position const* earlier = nullptr;
  for (auto const& p : ordered) {
    auto const text = p.to_text();
    CAPTURE(text);
    CHECK(text.size() == position::text_size);
    CHECK(position::parse(text) == p);
    if (earlier != nullptr) {
      CHECK(*earlier < p);
      CHECK(before < text);
    }
    before = text;
    earlier = &p;
  }
  CHECK(position{lsn{0x16B374D848}, 255}.to_text() == "00000016B374D84800000000000000FF");
}

TEST_CASE("what is no position is not read as one") {
  std::string const good = position{lsn{1}, 2}.to_text();
  for (auto const& text : {std::string(), good.substr(1), good + "0", " " + good.substr(1), "G" + good.substr(1),
                           good.substr(0, 16) + "-" + good.substr(17)}) {
    CAPTURE(text);
    CHECK(position::parse(text) == std::nullopt);
  }
}
