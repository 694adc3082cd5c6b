#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Puts messages together field by field, big-endian, as the manual's tables have them.
class bytes {
 public:
  bytes() = default;
  explicit bytes(char kind) : made_(1, kind) {}

  bytes& i8(int field) { return number(static_cast<std::uint64_t>(field), 1); }
  bytes& i16(int field) { return number(static_cast<std::uint64_t>(field), 2); }
  bytes& i32(std::int64_t field) { return number(static_cast<std::uint64_t>(field), 4); }
  bytes& i64(std::int64_t field) { return number(static_cast<std::uint64_t>(field), 8); }
  bytes& letter(char field) { return raw({&field, 1}); }
  bytes& name(std::string_view field) { return raw(field).i8(0); }
  bytes& counted(std::string_view field) { return i32(static_cast<std::int64_t>(field.size())).raw(field); }
  bytes& text(std::string_view field) { return letter('t').counted(field); }
  bytes& binary(std::string_view field) { return letter('b').counted(field); }
  bytes& raw(std::string_view field) {
    made_ += field;
    return *this;
  }
  operator std::string() const { return made_; }

 private:
  bytes& number(std::uint64_t field, int width) {
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) made_ += static_cast<char>(field >> shift);
    return *this;
  }

  std::string made_;
};
