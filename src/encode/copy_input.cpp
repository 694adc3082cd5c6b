#include "encode/copy_input.hpp"

#include <array>

#include "encode/block.hpp"

namespace etl::encode {
namespace {

using pgoutput::value_kind;
using namespace std::string_view_literals;

constexpr auto signature = "PGCOPY\n\377\r\n\0"sv;
constexpr std::uint32_t critical_flags = 0xffff0000;
constexpr std::int16_t trailer = -1;

error malformed(std::string_view what) {
  return {.kind = severity::bug,
          .code = "copy.format",
          .message = "the server's copy of a table cannot be read: " + std::string(what),
          .hint = "Please report this with the server's version."};
}

// Big-endian fields, from front to back.
class field_reader {
 public:
  explicit field_reader(std::string_view bytes) : left_(bytes) {}

  bool number(std::size_t size, std::uint32_t& read) {
    std::string_view bytes;
    if (!take(size, bytes)) return false;
    read = 0;
    for (auto const byte : bytes) read = read << 8 | static_cast<unsigned char>(byte);
    return true;
  }
  bool take(std::size_t size, std::string_view& bytes) {
    if (left_.size() < size) return false;
    bytes = left_.substr(0, size);
    left_.remove_prefix(size);
    return true;
  }
  [[nodiscard]] std::string_view left() const { return left_; }

 private:
  std::string_view left_;
};

// What follows a backslash in COPY's text format, but for \N.
constexpr auto escapes = [] {
  std::array<char, 256> meant{};
  for (std::size_t letter = 0; letter < meant.size(); ++letter) meant[letter] = static_cast<char>(letter);
  meant['b'] = '\b';
  meant['f'] = '\f';
  meant['n'] = '\n';
  meant['r'] = '\r';
  meant['t'] = '\t';
  meant['v'] = '\v';
  return meant;
}();

// The first tab or backslash, or `end`.
char const* find_special(char const* at, char const* end) {
  while (end - at >= static_cast<std::ptrdiff_t>(block::size)) {
    auto const found = block(at).find('\t', '\\');
    at += found;
    if (found != block::size) return at;
  }
  while (at != end && *at != '\t' && *at != '\\') ++at;
  return at;
}

}  // namespace

result<bool> copy_input::split(std::string_view message, std::vector<pgoutput::value>& values) {
  if (binary_) return split_binary(message, values);
  if (!message.ends_with('\n')) return malformed("a row has no end");
  message.remove_suffix(1);
  return split_text(message, values);
}

result<bool> copy_input::split_binary(std::string_view message, std::vector<pgoutput::value>& values) {
  field_reader in(message);
  std::uint32_t number = 0;
  std::string_view bytes;
  if (trailer_seen_) return malformed("data behind its end");
  if (!header_seen_) {
    if (!in.take(signature.size(), bytes) || bytes != signature)
      return malformed("it does not begin with its signature");
    if (!in.number(4, number) || (number & critical_flags) != 0) return malformed("unknown flags");
    if (!in.number(4, number) || !in.take(number, bytes)) return malformed("its header ends early");
    header_seen_ = true;
    if (in.left().empty()) return false;
  }
  if (!in.number(2, number)) return malformed("a row ends early");
  auto const count = static_cast<std::int16_t>(number);
  if (count == trailer) {
    trailer_seen_ = true;
    if (!in.left().empty()) return malformed("data behind its end");
    return false;
  }
  if (count < 0) return malformed("a row has a negative number of columns");
  values.resize(static_cast<std::size_t>(count));
  for (auto& v : values) {
    if (!in.number(4, number)) return malformed("a row ends early");
    if (number == UINT32_MAX) {
      v = {value_kind::null, {}};
      continue;
    }
    if (!in.take(number, bytes)) return malformed("a row ends early");
    v = {value_kind::binary, bytes};
  }
  if (!in.left().empty()) return malformed("a row is longer than its columns");
  return true;
}

result<bool> copy_input::split_text(std::string_view row, std::vector<pgoutput::value>& values) {
  values.clear();
  unescaped_.clear();
  if (!has_columns_) {
    if (!row.empty()) return malformed("a row without columns has values");
    return true;
  }
  auto const* const end = row.data() + row.size();
  auto const* start = row.data();
  bool escaped = false;
  for (auto const* at = find_special(start, end);; at = find_special(at + 1, end)) {
    if (at != end && *at == '\\') {
      // Room for all that the row can become: views of it must not move while the row grows.
      if (!escaped && unescaped_.empty()) static_cast<void>(unescaped_.reserve(row.size()));
      escaped = true;
      continue;
    }
    std::string_view field(start, static_cast<std::size_t>(at - start));
    if (!escaped) {
      values.push_back({value_kind::text, field});
    } else if (field == "\\N") {
      values.push_back({value_kind::null, {}});
    } else if (unescape(field, field)) {
      values.push_back({value_kind::text, field});
    } else {
      return malformed("a row ends in a backslash");
    }
    if (at == end) return true;
    start = at + 1;
    escaped = false;
  }
}

bool copy_input::unescape(std::string_view field, std::string_view& text) {
  char* const start = unescaped_.reserve(field.size());
  char* out = start;
  for (auto const *at = field.data(), *const end = at + field.size(); at != end; ++at) {
    if (*at != '\\') {
      *out++ = *at;
      continue;
    }
    if (++at == end) return false;
    *out++ = escapes[static_cast<unsigned char>(*at)];
  }
  text = {start, static_cast<std::size_t>(out - start)};
  unescaped_.commit(text.size());
  return true;
}

}  // namespace etl::encode
