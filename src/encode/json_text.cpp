#include "encode/json_text.hpp"

#include <array>
#include <cstring>

#include "encode/block.hpp"

namespace etl::encode {
namespace {

static_assert(write_slack >= block::size);

// The letter behind the backslash; 'u' for \u00XX; zero for bytes that stand for themselves.
constexpr auto short_escapes = [] {
  std::array<char, 256> letters{};
  for (std::size_t control = 0; control < 0x20; ++control) letters[control] = 'u';
  letters['\b'] = 'b';
  letters['\f'] = 'f';
  letters['\n'] = 'n';
  letters['\r'] = 'r';
  letters['\t'] = 't';
  letters['"'] = '"';
  letters['\\'] = '\\';
  return letters;
}();

char escape_of(char byte) { return short_escapes[static_cast<unsigned char>(byte)]; }

char* write_one(char* out, char byte) {
  auto const letter = escape_of(byte);
  *out++ = '\\';
  *out++ = letter;
  if (letter != 'u') return out;
  constexpr char digits[] = "0123456789abcdef";
  *out++ = '0';
  *out++ = '0';
  *out++ = digits[byte >> 4];
  *out++ = digits[byte & 15];
  return out;
}

bool is_continuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// Length of the sequence at `at`, zero if it is malformed. RFC 3629, section 4.
std::size_t sequence_length(unsigned char const* at, std::size_t left) {
  auto const lead = at[0];
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  std::size_t const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (left < length) return 0;
  // The second byte tells overlong forms, surrogates and what lies beyond Unicode apart.
  unsigned char const least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char const most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < least || at[1] > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!is_continuation(at[i])) return 0;
  }
  return length;
}

}  // namespace

char* write_escaped(char* out, std::string_view text, bool& high) {
  auto const* in = text.data();
  auto left = text.size();
  while (left >= block::size) {
    block const bytes(in);
    bytes.store(out);
    high |= bytes.high();
    auto const clean = bytes.first_escaped();
    in += clean;
    out += clean;
    left -= clean;
    if (clean != block::size) {
      out = write_one(out, *in++);
      --left;
    }
  }
  if (left == 0) return out;
  // The rest as a block, too, filled up with bytes that need no escape.
  std::array<char, block::size> rest;
  rest.fill(' ');
  std::memcpy(rest.data(), in, left);
  block const bytes(rest.data());
  high |= bytes.high();
  if (bytes.first_escaped() == block::size) {
    bytes.store(out);
    return out + left;
  }
  for (std::size_t i = 0; i < left; ++i) {
    if (escape_of(rest[i]) == 0) {
      *out++ = rest[i];
    } else {
      out = write_one(out, rest[i]);
    }
  }
  return out;
}

std::size_t escaped_size(std::string_view text) {
  auto size = text.size();
  for (auto const byte : text) {
    auto const letter = escape_of(byte);
    size += letter == 0 ? 0 : letter == 'u' ? longest_escape - 1 : 1;
  }
  return size;
}

char* write_on_one_line(char* out, std::string_view json, bool& high) {
  unsigned char seen = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    auto const byte = static_cast<unsigned char>(json[i]);
    seen |= byte;
    out[i] = byte < 0x20 ? ' ' : json[i];
  }
  high |= seen >= 0x80;
  return out + json.size();
}

bool valid_utf8(std::string_view text) {
  auto const* at = reinterpret_cast<unsigned char const*>(text.data());
  auto const* const end = at + text.size();
  while (at != end) {
    if (end - at >= static_cast<std::ptrdiff_t>(block::size) && !block(reinterpret_cast<char const*>(at)).high()) {
      at += block::size;
      continue;
    }
    auto const length = sequence_length(at, static_cast<std::size_t>(end - at));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string quote_json(std::string_view text) {
  std::string quoted(escaped_size(text) + 2 + write_slack, '"');
  bool high = false;
  auto* const end = write_escaped(quoted.data() + 1, text, high);
  *end = '"';
  quoted.resize(static_cast<std::size_t>(end - quoted.data()) + 1);
  return quoted;
}

}  // namespace etl::encode
