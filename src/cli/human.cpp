#include "cli/human.hpp"

#include <fmt/format.h>

#include <array>

namespace etl::cli {
namespace {

// Three digits and a unit, going up a unit as soon as it takes a fourth.
template <std::size_t Count>
std::string scaled(double value, double step, std::array<std::string_view, Count> const& units) {
  std::size_t unit = 0;
  while (unit + 1 < Count && value >= 999.5) {
    value /= step;
    ++unit;
  }
  int const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, digits, units[unit]);
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

std::string human_count(std::uint64_t count) {
  if (count < 10'000) return fmt::format("{}", count);
  return scaled(static_cast<double>(count) / 1000, 1000, std::array<std::string_view, 4>{"k", "M", "G", "T"});
}

std::string human_bytes(double bytes) {
  if (bytes < 999.5) return fmt::format("{:.0f} B", bytes);
  return scaled(bytes / 1024, 1024, std::array<std::string_view, 5>{" KiB", " MiB", " GiB", " TiB", " PiB"});
}

std::string human_time(std::chrono::seconds time) {
  auto const all = time.count();
  if (all < 3600) return fmt::format("{}:{:02}", all / 60, all % 60);
  if (all < 36'000) return fmt::format("{}h{:02}m", all / 3600, all / 60 % 60);
  return fmt::format("{}h", all / 3600);
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters, too.
    bool const second_set = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (second_set) ++i;
    out += c < 0x20 || c == 0x7F || second_set ? '?' : text[i];
  }
  return out;
}

std::size_t columns(std::string_view text) {
  std::size_t count = 0;
  for (char const c : text) count += continues(c) ? 0 : 1;
  return count;
}

std::string fitted(std::string_view text, std::size_t width) {
  auto const have = columns(text);
  if (have <= width) return std::string(text).append(width - have, ' ');
  if (width == 0) return "";
  std::size_t end = 0;
  for (std::size_t kept = 0; end < text.size(); ++end) {
    if (!continues(text[end]) && ++kept == width) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace etl::cli
