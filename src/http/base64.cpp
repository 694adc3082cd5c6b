#include "http/base64.hpp"

#include <array>
#include <cstdint>

namespace etl::http {
namespace {

using alphabet = std::string_view;
constexpr alphabet standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr alphabet for_urls = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, alphabet letters, bool padded) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(3, bytes.size()))) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0);
    for (std::size_t i = 0; i < 4; ++i) {
      if (i <= bytes.size()) {
        text += letters[group >> (18 - 6 * i) & 63];
      } else if (padded) {
        text += '=';
      }
    }
  }
  return text;
}

std::array<std::int8_t, 256> values() {
  std::array<std::int8_t, 256> table;
  table.fill(-1);
  for (std::size_t i = 0; i < 64; ++i) {
    table[static_cast<std::uint8_t>(standard[i])] = static_cast<std::int8_t>(i);
    table[static_cast<std::uint8_t>(for_urls[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}

}  // namespace

std::string base64(std::string_view bytes) { return encode(bytes, standard, true); }
std::string base64url(std::string_view bytes) { return encode(bytes, for_urls, false); }

std::string from_base64(std::string_view text) {
  static auto const table = values();
  std::string bytes;
  std::uint32_t group = 0;
  int bits = 0;
  for (char const c : text) {
    auto const value = table[static_cast<std::uint8_t>(c)];
    if (value < 0) break;
    group = group << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(group >> bits & 255);
    }
  }
  return bytes;
}

}  // namespace etl::http
