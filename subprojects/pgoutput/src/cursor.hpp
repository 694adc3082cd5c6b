#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "pgoutput/message.hpp"

namespace pgoutput {

// Reads big-endian fields from front to back. The first failure sticks: later reads yield zeros and empty texts, so
// that a message is read field by field and judged once, by finish().
class cursor {
 public:
  explicit cursor(std::string_view bytes) : start_(bytes.data()), at_(start_), end_(start_ + bytes.size()) {}

  template <std::unsigned_integral Integer>
  Integer number() {
    if (remaining() < sizeof(Integer)) {
      fail("the message ends early");
      return 0;
    }
    Integer read = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
      read = static_cast<Integer>(read << 8 | static_cast<unsigned char>(at_[i]));
    }
    at_ += sizeof(Integer);
    return read;
  }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  char letter() { return static_cast<char>(byte()); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  std::int16_t i16() { return static_cast<std::int16_t>(number<std::uint16_t>()); }
  std::int32_t i32() { return static_cast<std::int32_t>(number<std::uint32_t>()); }
  std::int64_t i64() { return static_cast<std::int64_t>(number<std::uint64_t>()); }

  // A text that ends with a zero byte.
  std::string_view text() {
    auto const* const zero = remaining() == 0 ? nullptr : static_cast<char const*>(std::memchr(at_, 0, remaining()));
    if (zero == nullptr) {
      fail("a name has no end");
      return {};
    }
    std::string_view const found(at_, static_cast<std::size_t>(zero - at_));
    at_ = zero + 1;
    return found;
  }
  // Bytes behind an Int32 that counts them.
  std::string_view counted() {
    auto const size = i32();
    if (size < 0) {
      fail("a length is negative");
      return {};
    }
    if (remaining() < static_cast<std::size_t>(size)) {
      fail("a value is longer than its message");
      return {};
    }
    std::string_view const found(at_, static_cast<std::size_t>(size));
    at_ += size;
    return found;
  }
  std::string_view rest() {
    std::string_view const found(at_, remaining());
    at_ = end_;
    return found;
  }
  // A byte that every known server sends as zero: anything else would change the meaning of what follows.
  void unused_flags() {
    if (byte() != 0) fail("unknown flags");
  }

  [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] bool failed() const { return !what_.empty(); }
  void fail(std::string_view what) {
    if (failed()) return;
    what_ = what;
    failed_at_ = at_;
    at_ = end_;
  }
  [[nodiscard]] std::optional<failure> finish() {
    if (at_ != end_) fail("bytes behind the end of the message");
    if (!failed()) return std::nullopt;
    return failure{static_cast<std::size_t>(failed_at_ - start_), what_};
  }

 private:
  char const* start_;
  char const* at_;
  char const* end_;
  char const* failed_at_ = nullptr;
  std::string_view what_;
};

}  // namespace pgoutput
