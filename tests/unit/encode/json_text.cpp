#include "encode/json_text.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <memory>
#include <random>

using namespace etl::encode;

namespace {

// Escapes with exactly the room that is promised to be enough.
std::string escape(std::string const& text, bool& high) {
  auto const room = escaped_size(text);
  auto const in = std::make_unique<char[]>(text.size());
  std::copy(text.begin(), text.end(), in.get());
  auto const out = std::make_unique<char[]>(room + write_slack);
  auto const* const end = write_escaped(out.get(), {in.get(), text.size()}, high);
  REQUIRE(static_cast<std::size_t>(end - out.get()) == room);
  return {out.get(), room};
}

}  // namespace

TEST_CASE("every byte at every place of a block is escaped as it should be") {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 1; byte < 128; ++byte) {
        std::string text(size, 'a');
        text[at] = static_cast<char>(byte);
        bool high = false;
        auto const parsed = boost::json::parse('"' + escape(text, high) + '"');
        if (high || parsed.as_string() != text) FAIL("byte " << byte << " at " << at << " of " << size);
      }
    }
  }
}

TEST_CASE("bytes beyond ASCII are reported wherever they stand") {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, '"');
      bool high = false;
      static_cast<void>(escape(text, high));
      CHECK_FALSE(high);
      text[at] = '\x80';
      static_cast<void>(escape(text, high));
      CHECK(high);
    }
  }
}

TEST_CASE("random texts survive") {
  std::mt19937 random(20260101);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 200, ' ');
    for (auto& byte : text) byte = static_cast<char>(random() % 4 == 0 ? random() % 0x23 : 0x20 + random() % 0x5f);
    bool high = false;
    CHECK(boost::json::parse('"' + escape(text, high) + '"').as_string() == text);
    CHECK(quote_json(text) == '"' + escape(text, high) + '"');
  }
}

TEST_CASE("UTF-8") {
  struct {
    std::string text;
    bool valid;
  } const cases[] = {
      {"", true},
      {std::string("a\0b", 3), true},
      {"\xc2\x80", true},
      {"\xdf\xbf", true},
      {"\xe0\xa0\x80", true},
      {"\xed\x9f\xbf", true},
      {"\xee\x80\x80", true},
      {"\xef\xbf\xbf", true},
      {"\xf0\x90\x80\x80", true},
      {"\xf4\x8f\xbf\xbf", true},
      {"\x80", false},              // a continuation without a lead
      {"\xc1\xbf", false},          // overlong
      {"\xe0\x9f\xbf", false},      // overlong
      {"\xf0\x8f\xbf\xbf", false},  // overlong
      {"\xed\xa0\x80", false},      // a surrogate
      {"\xf4\x90\x80\x80", false},  // beyond U+10FFFF
      {"\xf5\x80\x80\x80", false},  // no lead byte
      {"\xc3", false},              // cut off
      {"\xe2\x82", false},          // cut off
      {"\xf0\x9f\x90", false},      // cut off
      {"\xe2\x82\x41", false},      // a letter where a continuation must be
      {"\xf0\x9f\x90\xc3", false},  // a lead where a continuation must be
  };
  for (auto const& c : cases) {
    for (std::size_t before = 0; before <= 17; ++before) {
      std::string const text = std::string(before, 'a') + c.text;
      auto const exact = std::make_unique<char[]>(text.size());
      std::copy(text.begin(), text.end(), exact.get());
      CHECK(valid_utf8({exact.get(), text.size()}) == c.valid);
      CHECK(valid_utf8(text + std::string(20, 'z')) == c.valid);
    }
  }
}
