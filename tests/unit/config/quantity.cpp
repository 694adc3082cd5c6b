#include "config/quantity.hpp"

#include <catch2/catch.hpp>

using namespace etl::config;
using std::chrono::milliseconds;

TEST_CASE("sizes are read with binary and decimal units") {
  struct row {
    std::string_view text;
    std::optional<std::int64_t> bytes;
  };
  auto const& [text, bytes] = GENERATE(values<row>({
      {"0B", 0},
      {"512B", 512},
      {"64KiB", 65536},
      {"16MiB", 16777216},
      {"1 GiB", 1073741824},
      {"1TiB", 1099511627776},
      {"10kB", 10000},
      {"10MB", 10000000},
      {"3GB", 3000000000},
      {"2TB", 2000000000000},
      {"8388607TiB", 9223370937343148032},
      {"8388608TiB", std::nullopt},
      {"9223372036854775808B", std::nullopt},
      {"", std::nullopt},
      {"16", std::nullopt},
      {"MiB", std::nullopt},
      {"16M", std::nullopt},
      {"16mib", std::nullopt},
      {"-1MiB", std::nullopt},
      {"+1MiB", std::nullopt},
      {"1.5MiB", std::nullopt},
      {" 1MiB", std::nullopt},
      {"1  MiB", std::nullopt},
      {"1MiB ", std::nullopt},
  }));
  CAPTURE(text);
  CHECK(parse_size(text) == bytes);
}

TEST_CASE("durations are read with their unit") {
  struct row {
    std::string_view text;
    std::optional<milliseconds> time;
  };
  auto const& [text, time] = GENERATE(values<row>({
      {"0s", milliseconds(0)},
      {"500ms", milliseconds(500)},
      {"10s", milliseconds(10000)},
      {"5 min", milliseconds(300000)},
      {"1h", milliseconds(3600000)},
      {"10", std::nullopt},
      {"10m", std::nullopt},
      {"10 S", std::nullopt},
      {"-1s", std::nullopt},
      {"9223372036854775807h", std::nullopt},
  }));
  CAPTURE(text);
  CHECK(parse_duration(text) == time);
}

TEST_CASE("quantities are written as short as they can be read") {
  CHECK(size_text(0) == "0B");
  CHECK(size_text(65536) == "64KiB");
  CHECK(size_text(65537) == "65537B");
  CHECK(size_text(std::int64_t(1) << 40) == "1TiB");
  CHECK(duration_text(milliseconds(0)) == "0s");
  CHECK(duration_text(milliseconds(1500)) == "1500ms");
  CHECK(duration_text(milliseconds(60000)) == "1min");
}
