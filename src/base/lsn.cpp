#include "base/lsn.hpp"

#include <fmt/format.h>

#include <charconv>

namespace etl {
namespace {

std::optional<std::uint64_t> parse_hex(std::string_view digits, std::size_t most) {
  std::uint64_t value = 0;
  if (digits.empty() || digits.size() > most) return std::nullopt;
  auto const [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (failure != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

void write_hex(char* out, std::uint64_t value) {
  constexpr char digits[] = "0123456789ABCDEF";
  for (int i = 15; i >= 0; --i, value >>= 4) out[i] = digits[value & 15];
}

}  // namespace

std::string lsn::to_text() const { return fmt::format("{:X}/{:X}", value >> 32, value & 0xFFFFFFFFu); }

std::optional<lsn> lsn::parse(std::string_view text) {
  auto const slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  auto const high = parse_hex(text.substr(0, slash), 8);
  auto const low = parse_hex(text.substr(slash + 1), 8);
  if (!high || !low) return std::nullopt;
  return lsn{*high << 32 | *low};
}

void position::write_text(char* out) const {
  write_hex(out, commit.value);
  write_hex(out + 16, ordinal);
}

std::string position::to_text() const {
  std::string text(text_size, '0');
  write_text(text.data());
  return text;
}

std::optional<position> position::parse(std::string_view text) {
  if (text.size() != text_size) return std::nullopt;
  auto const commit = parse_hex(text.substr(0, 16), 16);
  auto const ordinal = parse_hex(text.substr(16), 16);
  if (!commit || !ordinal) return std::nullopt;
  return position{lsn{*commit}, *ordinal};
}

}  // namespace etl
