#include "config/quantity.hpp"

#include <charconv>
#include <limits>
#include <span>

namespace etl::config {
namespace {

struct unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr unit sizes[] = {{"TiB", 1LL << 40},
                          {"GiB", 1LL << 30},
                          {"MiB", 1LL << 20},
                          {"KiB", 1LL << 10},
                          {"TB", 1'000'000'000'000},
                          {"GB", 1'000'000'000},
                          {"MB", 1'000'000},
                          {"kB", 1'000},
                          {"B", 1}};
constexpr unit times[] = {{"h", 3'600'000}, {"min", 60'000}, {"s", 1'000}, {"ms", 1}};

std::optional<std::int64_t> parse(std::string_view text, std::span<unit const> units) {
  std::int64_t number = 0;
  auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  for (auto const& [name, factor] : units) {
    if (text != name) continue;
    if (number > std::numeric_limits<std::int64_t>::max() / factor) return std::nullopt;
    return number * factor;
  }
  return std::nullopt;
}

std::string shortest(std::int64_t amount, std::span<unit const> units) {
  for (auto const& [name, factor] : units) {
    if (amount != 0 && amount % factor == 0) return std::to_string(amount / factor).append(name);
  }
  return std::to_string(amount).append(units.back().name);
}

}  // namespace

std::optional<std::int64_t> parse_size(std::string_view text) { return parse(text, sizes); }

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  auto const milliseconds = parse(text, times);
  if (!milliseconds) return std::nullopt;
  return std::chrono::milliseconds(*milliseconds);
}

std::string size_text(std::int64_t bytes) { return shortest(bytes, sizes); }

std::string duration_text(std::chrono::milliseconds time) {
  return time.count() == 0 ? "0s" : shortest(time.count(), times);
}

}  // namespace etl::config
