#include "encode/text_values.hpp"

#include <charconv>
#include <limits>

namespace etl::encode {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t day = 86'400 * second;

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

// Takes `text` apart from its front. Every take_…() says whether it found what it looks for.
class scanner {
 public:
  explicit scanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] char peek() const { return at_ == end_ ? '\0' : *at_; }
  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view wanted) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }
  // At most 18 digits, so that the number always fits.
  bool take_number(std::int64_t& number) {
    auto const* const start = at_;
    number = 0;
    while (is_digit(peek()) && at_ - start < 18) number = number * 10 + (*at_++ - '0');
    return at_ != start && !is_digit(peek());
  }
  bool take_two(std::int64_t& number) {
    if (end_ - at_ < 2 || !is_digit(at_[0]) || !is_digit(at_[1])) return false;
    number = (at_[0] - '0') * 10 + (at_[1] - '0');
    at_ += 2;
    return true;
  }
  // Behind the seconds: nothing, or a point and up to six digits.
  bool take_microseconds(std::int64_t& number) {
    number = 0;
    if (!take('.')) return true;
    int digits = 0;
    for (; is_digit(peek()) && digits < 6; ++digits) number = number * 10 + (*at_++ - '0');
    if (digits == 0 || is_digit(peek())) return false;
    for (; digits < 6; ++digits) number *= 10;
    return true;
  }

 private:
  char const* at_;
  char const* end_;
};

// Days since 1970-01-01. Counted from the first of March of the year 0, so that leap days come last; 400 years have
// 146,097 days.
std::int64_t days_of(std::int64_t year, std::int64_t month, std::int64_t day_of_month) {
  if (month <= 2) --year;
  auto const era = (year >= 0 ? year : year - 399) / 400;
  auto const year_of_era = year - era * 400;
  auto const month_from_march = (month + 9) % 12;
  auto const day_of_year = (153 * month_from_march + 2) / 5 + day_of_month - 1;
  auto const day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct calendar_day {
  std::int64_t year = 0;
  std::int64_t month = 0;
  std::int64_t day = 0;

  // `before_christ`: there is no year 0, so 1 BC is the year before 1.
  [[nodiscard]] std::int64_t days(bool before_christ) const {
    return days_of(before_christ ? 1 - year : year, month, day);
  }
};

bool take_day(scanner& from, calendar_day& found) {
  return from.take_number(found.year) && found.year <= 9'999'999 && from.take('-') && from.take_two(found.month) &&
         from.take('-') && from.take_two(found.day) && found.month >= 1 && found.month <= 12 && found.day >= 1 &&
         found.day <= 31;
}

bool take_clock(scanner& from, std::int64_t& microseconds) {
  std::int64_t hours = 0, minutes = 0, seconds = 0, fraction = 0;
  if (!from.take_two(hours) || !from.take(':') || !from.take_two(minutes) || !from.take(':') ||
      !from.take_two(seconds) || !from.take_microseconds(fraction)) {
    return false;
  }
  microseconds = ((hours * 60 + minutes) * 60 + seconds) * second + fraction;
  return true;
}

// +HH, +HH:MM or +HH:MM:SS.
bool take_zone(scanner& from, std::int64_t& seconds) {
  seconds = 0;
  bool const west = from.peek() == '-';
  if (!from.take('+') && !from.take('-')) return true;
  std::int64_t hours = 0, minutes = 0, rest = 0;
  if (!from.take_two(hours)) return false;
  if (from.take(':') && !from.take_two(minutes)) return false;
  if (from.take(':') && !from.take_two(rest)) return false;
  seconds = (hours * 60 + minutes) * 60 + rest;
  if (west) seconds = -seconds;
  return true;
}

std::optional<int> hex_digit(char byte) {
  if (is_digit(byte)) return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return std::nullopt;
}

bool take_hex_byte(char const* from, char& byte) {
  auto const high = hex_digit(from[0]);
  auto const low = hex_digit(from[1]);
  if (!high || !low) return false;
  byte = static_cast<char>(*high << 4 | *low);
  return true;
}

std::optional<std::int32_t> narrow(std::int64_t value) {
  if (value < std::numeric_limits<std::int32_t>::min() || value > std::numeric_limits<std::int32_t>::max()) {
    return std::nullopt;
  }
  return static_cast<std::int32_t>(value);
}

template <class Number>
std::optional<Number> parse_whole(std::string_view text) {
  Number value{};
  auto const* const end = text.data() + text.size();
  auto const [stopped, failed] = std::from_chars(text.data(), end, value);
  if (failed != std::errc() || stopped != end) return std::nullopt;
  return value;
}

}  // namespace

template <class Integer>
std::optional<Integer> parse_integer(std::string_view text) {
  return parse_whole<Integer>(text);
}
template std::optional<std::int16_t> parse_integer(std::string_view text);
template std::optional<std::int32_t> parse_integer(std::string_view text);
template std::optional<std::int64_t> parse_integer(std::string_view text);
template std::optional<std::uint32_t> parse_integer(std::string_view text);

template <class Float>
std::optional<Float> parse_float(std::string_view text) {
  return parse_whole<Float>(text);  // which reads NaN, Infinity and -Infinity, too
}
template std::optional<float> parse_float(std::string_view text);
template std::optional<double> parse_float(std::string_view text);

std::optional<__int128> parse_decimal(std::string_view text, unsigned precision, unsigned scale) {
  bool const negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  unsigned __int128 value = 0;
  unsigned significant = 0;
  unsigned behind_point = 0;
  bool point = false;
  bool digits = false;
  auto const push = [&](unsigned digit) {
    if (significant != 0 || digit != 0) ++significant;
    if (significant > precision) return false;
    value = value * 10 + digit;
    return true;
  };
  for (char const byte : text) {
    if (byte == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(byte)) return std::nullopt;
    digits = true;
    if (point && behind_point == scale) {
      if (byte != '0') return std::nullopt;
      continue;
    }
    if (point) ++behind_point;
    if (!push(static_cast<unsigned>(byte - '0'))) return std::nullopt;
  }
  if (!digits) return std::nullopt;
  for (; behind_point < scale; ++behind_point) {
    if (!push(0)) return std::nullopt;
  }
  auto const magnitude = static_cast<__int128>(value);
  return negative ? -magnitude : magnitude;
}

infinity infinity_in(std::string_view text) {
  if (text == "infinity") return infinity::positive;
  if (text == "-infinity") return infinity::negative;
  return infinity::none;
}

std::optional<std::int32_t> parse_date(std::string_view text) {
  scanner from(text);
  calendar_day found;
  if (!take_day(from, found)) return std::nullopt;
  bool const before_christ = from.take(" BC");
  if (!from.at_end()) return std::nullopt;
  return narrow(found.days(before_christ));
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  scanner from(text);
  std::int64_t microseconds = 0;
  if (!take_clock(from, microseconds) || !from.at_end() || microseconds > day) return std::nullopt;
  return microseconds;
}

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
  scanner from(text);
  calendar_day found;
  std::int64_t clock = 0;
  std::int64_t zone = 0;
  if (!take_day(from, found) || !from.take(' ') || !take_clock(from, clock) || !take_zone(from, zone)) {
    return std::nullopt;
  }
  bool const before_christ = from.take(" BC");
  if (!from.at_end()) return std::nullopt;
  std::int64_t time = 0;
  if (__builtin_mul_overflow(found.days(before_christ), day, &time) ||
      __builtin_add_overflow(time, clock - zone * second, &time)) {
    return std::nullopt;
  }
  return time;
}

// "1 year 2 mons -3 days +04:05:06.789": each part has a sign of its own, and any may be missing.
std::optional<interval_value> parse_interval(std::string_view text) {
  scanner from(text);
  std::int64_t months = 0, days = 0, microseconds = 0;
  while (!from.at_end()) {
    bool const negative = from.peek() == '-';
    if (!from.take('-')) from.take('+');
    std::int64_t number = 0;
    if (!from.take_number(number)) return std::nullopt;
    if (from.take(':')) {
      std::int64_t minutes = 0, seconds = 0, fraction = 0;
      if (!from.take_two(minutes) || !from.take(':') || !from.take_two(seconds) || !from.take_microseconds(fraction) ||
          !from.at_end() || number > std::numeric_limits<std::int64_t>::max() / (3600 * second) - 1) {
        return std::nullopt;
      }
      microseconds = ((number * 60 + minutes) * 60 + seconds) * second + fraction;
      if (negative) microseconds = -microseconds;
      break;
    }
    if (negative) number = -number;
    if (number > std::numeric_limits<std::int32_t>::max() || number < std::numeric_limits<std::int32_t>::min()) {
      return std::nullopt;
    }
    if (from.take(" year")) {
      months += number * 12;
    } else if (from.take(" mon")) {
      months += number;
    } else if (from.take(" day")) {
      days += number;
    } else {
      return std::nullopt;
    }
    from.take('s');
    if (!from.at_end() && !from.take(' ')) return std::nullopt;
  }
  auto const whole_months = narrow(months);
  auto const whole_days = narrow(days);
  if (text.empty() || !whole_months || !whole_days) return std::nullopt;
  return interval_value{*whole_months, *whole_days, microseconds};
}

std::optional<std::array<char, 16>> parse_uuid(std::string_view text) {
  std::array<char, 16> bytes;
  if (text.size() != 36) return std::nullopt;
  std::size_t at = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (at == 8 || at == 13 || at == 18 || at == 23) {
      if (text[at++] != '-') return std::nullopt;
    }
    if (!take_hex_byte(text.data() + at, bytes[i])) return std::nullopt;
    at += 2;
  }
  return bytes;
}

std::optional<std::size_t> bytea_size(std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return std::nullopt;
  return text.size() / 2 - 1;
}

bool parse_bytea(std::string_view text, char* out) {
  for (std::size_t at = 2; at < text.size(); at += 2) {
    if (!take_hex_byte(text.data() + at, *out++)) return false;
  }
  return true;
}

}  // namespace etl::encode
