#include "config/nearest.hpp"

#include <catch2/catch.hpp>

using etl::config::nearest;

TEST_CASE("the nearest known word is found, and none when all are far") {
  static constexpr std::string_view words[] = {"url", "tables", "slot", "publication", "heartbeat", "binary"};
  struct row {
    std::string_view typed;
    std::optional<std::string_view> meant;
  };
  auto const& [typed, meant] = GENERATE(values<row>({
      {"ulr", "url"},
      {"URL", "url"},
      {"table", "tables"},
      {"tabels", "tables"},
      {"publicatoin", "publication"},
      {"hartbeet", "heartbeat"},
      {"slots", "slot"},
      {"x", std::nullopt},
      {"", std::nullopt},
      {"password", std::nullopt},
      {"abc", std::nullopt},
  }));
  CAPTURE(typed);
  CHECK(nearest(typed, words) == meant);
}

TEST_CASE("a word of any length is compared without harm") {
  static constexpr std::string_view words[] = {"a"};
  CHECK(nearest(std::string(1 << 20, 'a'), words) == std::nullopt);
}
