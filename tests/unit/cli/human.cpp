#include "cli/human.hpp"

#include <catch2/catch.hpp>

using namespace etl::cli;

TEST_CASE("counts keep three digits") {
  struct row {
    std::uint64_t count;
    std::string_view text;
  };
  auto const& [count, text] = GENERATE(values<row>({
      {0, "0"},
      {9999, "9999"},
      {10'000, "10.0k"},
      {12'345, "12.3k"},
      {99'999, "100k"},
      {999'499, "999k"},
      {999'600, "1.00M"},
      {1'234'567, "1.23M"},
      {5'000'000'000, "5.00G"},
      {18'446'744'073'709'551'615U, "18446744T"},
  }));
  CAPTURE(count);
  CHECK(human_count(count) == text);
}

TEST_CASE("bytes keep three digits") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(1000) == "0.98 KiB");
  CHECK(human_bytes(1024) == "1.00 KiB");
  CHECK(human_bytes(1023.0 * 1024) == "1.00 MiB");
  CHECK(human_bytes(310.0 * 1024 * 1024) == "310 MiB");
  CHECK(human_bytes(52.14 * 1024 * 1024) == "52.1 MiB");
}

TEST_CASE("times are as on a clock") {
  CHECK(human_time(std::chrono::seconds(0)) == "0:00");
  CHECK(human_time(std::chrono::seconds(67)) == "1:07");
  CHECK(human_time(std::chrono::seconds(3599)) == "59:59");
  CHECK(human_time(std::chrono::seconds(3600)) == "1h00m");
  CHECK(human_time(std::chrono::seconds(35'999)) == "9h59m");
  CHECK(human_time(std::chrono::seconds(36'061)) == "10h");
}

TEST_CASE("names cannot command the terminal") {
  CHECK(printable("public.\x1b[2Jorders\n\x7f") == "public.?[2Jorders??");
  CHECK(printable("a\xc2\x9b"
                  "b") == "a?b");
  CHECK(printable("übung \xc2\xa0") == "übung \xc2\xa0");
}

TEST_CASE("texts are cut and filled by columns, not bytes") {
  CHECK(columns("übung") == 5);
  CHECK(fitted("übung", 7) == "übung  ");
  CHECK(fitted("übung", 5) == "übung");
  CHECK(fitted("übung", 4) == "übu…");
  CHECK(fitted("übung", 1) == "…");
  CHECK(fitted("übung", 0).empty());
}
