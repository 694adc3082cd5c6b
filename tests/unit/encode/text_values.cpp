#include "encode/text_values.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>

using namespace etl::encode;
using namespace std::string_literals;

namespace {

std::string to_text(std::optional<__int128> value) {
  if (!value) return "none";
  std::string digits;
  bool const negative = *value < 0;
  auto rest = negative ? -static_cast<unsigned __int128>(*value) : static_cast<unsigned __int128>(*value);
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
    rest /= 10;
  } while (rest != 0);
  return negative ? "-" + digits : digits;
}

}  // namespace

TEST_CASE("numerics as scaled integers") {
  struct {
    char const* text;
    unsigned precision;
    unsigned scale;
    char const* wanted;
  } const cases[] = {
      {"0", 5, 2, "0"},
      {"0.00", 5, 2, "0"},
      {"-1.50", 5, 2, "-150"},
      {"123.45", 5, 2, "12345"},
      {"123.4", 5, 2, "12340"},
      {"1234.45", 5, 2, "none"},
      {"1.005", 5, 2, "none"},
      {"1.000", 5, 2, "100"},
      {"0.00123", 5, 5, "123"},
      {"99900", 5, 0, "99900"},
      {"99999999999999999999999999999999999999", 38, 0, "99999999999999999999999999999999999999"},
      {"-99999999999999999999999999999999999999", 38, 0, "-99999999999999999999999999999999999999"},
      {"999999999999999999999999999999999999999", 38, 0, "none"},
      {"NaN", 38, 0, "none"},
      {"Infinity", 38, 0, "none"},
      {"-Infinity", 38, 0, "none"},
      {"", 38, 0, "none"},
      {"-", 38, 0, "none"},
      {".", 38, 1, "none"},
      {"1.2.3", 38, 4, "none"},
      {"1e5", 38, 0, "none"},
  };
  for (auto const& c : cases) {
    INFO(c.text);
    CHECK(to_text(parse_decimal(c.text, c.precision, c.scale)) == c.wanted);
  }
}

TEST_CASE("dates as days since 1970") {
  struct {
    char const* text;
    std::optional<std::int32_t> wanted;
  } const cases[] = {
      {"1970-01-01", 0},
      {"1969-12-31", -1},
      {"2000-02-29", 11'016},
      {"2000-03-01", 11'017},
      {"1582-10-04", -141'438},
      {"0001-01-01", -719'162},
      {"0001-12-31 BC", -719'163},
      {"4714-11-24 BC", -2'440'588},
      {"5874897-12-31", 2'145'042'905},
      {"infinity", {}},
      {"-infinity", {}},
      {"2000-13-01", {}},
      {"2000-00-01", {}},
      {"2000-01-01 ", {}},
      {"2000-01-01 AD", {}},
      {"99999999-01-01", {}},
      {"", {}},
  };
  for (auto const& c : cases) {
    INFO(c.text);
    CHECK(parse_date(c.text) == c.wanted);
  }
}

TEST_CASE("times and timestamps as microseconds") {
  struct {
    char const* text;
    std::optional<std::int64_t> wanted;
  } const times[] = {
      {"00:00:00", 0},
      {"00:00:00.5", 500'000},
      {"23:59:59.999999", 86'399'999'999},
      {"24:00:00", 86'400'000'000},
      {"24:00:00.1", {}},
      {"1:00:00", {}},
      {"12:00", {}},
      {"12:00:00.", {}},
      {"12:00:00.1234567", {}},
  };
  for (auto const& c : times) {
    INFO(c.text);
    CHECK(parse_time(c.text) == c.wanted);
  }
  struct {
    char const* text;
    std::optional<std::int64_t> wanted;
  } const timestamps[] = {
      {"1970-01-01 00:00:00", 0},
      {"1970-01-01 00:00:00+00", 0},
      {"2026-01-02 03:04:05.123456+00", 1'767'323'045'123'456},
      {"1970-01-01 05:30:00+05:30", 0},
      {"1969-12-31 22:00:00-02", 0},
      {"1900-01-01 00:19:32+00:19:32", -2'208'988'800'000'000},
      {"0044-03-15 12:00:00 BC", -63'517'780'800'000'000},
      {"4714-11-24 00:00:00+00 BC", -210'866'803'200'000'000},
      {"294246-12-31 23:59:59.999999", 9'223'371'244'799'999'999},
      {"294276-12-31 23:59:59.999999", {}},
      {"infinity", {}},
      {"1970-01-01", {}},
      {"1970-01-01 00:00", {}},
      {"1970-01-01 00:00:00+", {}},
  };
  for (auto const& c : timestamps) {
    INFO(c.text);
    CHECK(parse_timestamp(c.text) == c.wanted);
  }
}

TEST_CASE("intervals as months, days and microseconds") {
  constexpr std::int64_t hour = 3'600'000'000;
  struct {
    char const* text;
    std::optional<interval_value> wanted;
  } const cases[] = {
      {"00:00:00", interval_value{0, 0, 0}},
      {"1 year", interval_value{12, 0, 0}},
      {"1 year 2 mons 3 days 04:05:06.789", interval_value{14, 3, 4 * hour + 306'789'000}},
      {"-1 years -2 mons +3 days -04:00:00", interval_value{-14, 3, -4 * hour}},
      {"-00:00:00.000001", interval_value{0, 0, -1}},
      {"10 mons", interval_value{10, 0, 0}},
      {"-178000000 years", interval_value{-2'136'000'000, 0, 0}},
      {"2147483647 days 2147483647:00:00", interval_value{0, 2'147'483'647, 2'147'483'647 * hour}},
      {"200000000 years", {}},
      {"3000000000 days", {}},
      {"2562047789:00:00", {}},
      {"infinity", {}},
      {"1 week", {}},
      {"1 day 04:00:00 x", {}},
      {"", {}},
  };
  for (auto const& c : cases) {
    INFO(c.text);
    CHECK(parse_interval(c.text) == c.wanted);
  }
}

TEST_CASE("other values") {
  CHECK(parse_integer<std::int16_t>("-32768") == -32768);
  CHECK_FALSE(parse_integer<std::int16_t>("32768"));
  CHECK_FALSE(parse_integer<std::int32_t>("1x"));
  CHECK_FALSE(parse_integer<std::int32_t>(""));
  CHECK(parse_integer<std::uint32_t>("4294967295") == 4294967295U);
  CHECK(parse_float<double>("-1.7976931348623157e+308") == -1.7976931348623157e+308);
  CHECK(parse_float<double>("5e-324") == 5e-324);
  CHECK(std::isnan(parse_float<double>("NaN").value()));
  CHECK(parse_float<float>("-Infinity") == -INFINITY);
  CHECK_FALSE(parse_float<float>("1,5"));
  CHECK(parse_uuid("00112233-4455-6677-8899-aabbccddeeff").value()[15] == '\xff');
  CHECK_FALSE(parse_uuid("00112233445566778899aabbccddeeff0000"));
  CHECK_FALSE(parse_uuid("00112233-4455-6677-8899-aabbccddeefg"));

  std::string bytes(2, '.');
  CHECK(bytea_size("\\x00ff") == 2U);
  CHECK(parse_bytea("\\x00ff", bytes.data()));
  CHECK(bytes == "\0\xff"s);
  CHECK(bytea_size("\\x") == 0U);
  CHECK_FALSE(bytea_size("\\x0"));
  CHECK_FALSE(bytea_size("abc"));
  CHECK_FALSE(parse_bytea("\\x0g", bytes.data()));
}
