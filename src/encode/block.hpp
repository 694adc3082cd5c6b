#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace etl::encode {

// As many bytes as are looked at together: a vector register, or a machine word where there is no SSE2. All of `size`
// bytes are read and written.
class block {
 public:
#if defined(__SSE2__)
  static constexpr std::size_t size = sizeof(__m128i);
  explicit block(char const* from) : bytes_(_mm_loadu_si128(reinterpret_cast<__m128i const*>(from))) {}
  void store(char* to) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes_); }
  // Whether a byte is not ASCII.
  [[nodiscard]] bool high() const { return _mm_movemask_epi8(bytes_) != 0; }
  // Index of the first byte that JSON strings cannot hold as it is; `size` when there is none.
  [[nodiscard]] std::size_t first_escaped() const {
    return first(_mm_or_si128(_mm_or_si128(is('"'), is('\\')), control()));
  }
  // Index of the first `wanted` byte; `size` when there is none.
  [[nodiscard]] std::size_t find(char wanted) const { return first(is(wanted)); }
  // Index of the first of two; `size` when there is neither.
  [[nodiscard]] std::size_t find(char one, char other) const { return first(_mm_or_si128(is(one), is(other))); }

 private:
  [[nodiscard]] __m128i is(char wanted) const { return _mm_cmpeq_epi8(bytes_, _mm_set1_epi8(wanted)); }
  [[nodiscard]] __m128i control() const { return _mm_cmpeq_epi8(_mm_min_epu8(bytes_, _mm_set1_epi8(0x1f)), bytes_); }
  static std::size_t first(__m128i marks) {
    return static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(_mm_movemask_epi8(marks)) | 1u << size));
  }

  __m128i bytes_;
#else
  static constexpr std::size_t size = sizeof(std::uint64_t);
  explicit block(char const* from) { std::memcpy(&bytes_, from, size); }
  void store(char* to) const { std::memcpy(to, &bytes_, size); }
  [[nodiscard]] bool high() const { return (bytes_ & top) != 0; }
  [[nodiscard]] std::size_t first_escaped() const { return first(is('"') | is('\\') | below(0x20)); }
  [[nodiscard]] std::size_t find(char wanted) const { return first(is(wanted)); }
  [[nodiscard]] std::size_t find(char one, char other) const { return first(is(one) | is(other)); }

 private:
  static constexpr std::uint64_t every = 0x0101010101010101;
  static constexpr std::uint64_t top = every << 7;

  // Marks in the top bits of bytes. Borrows can mark bytes wrongly, but only ones above a right mark, and only the
  // lowest mark is asked for.
  [[nodiscard]] static std::uint64_t below(std::uint64_t bytes, std::uint64_t limit) {
    return (bytes - every * limit) & ~bytes & top;
  }
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) const { return below(in_order(), limit); }
  [[nodiscard]] std::uint64_t is(char wanted) const {
    return below(in_order() ^ every * static_cast<unsigned char>(wanted), 1);
  }
  // With the first byte lowest.
  [[nodiscard]] std::uint64_t in_order() const {
    return std::endian::native == std::endian::little ? bytes_ : __builtin_bswap64(bytes_);
  }
  static std::size_t first(std::uint64_t marks) { return static_cast<std::size_t>(std::countr_zero(marks)) / 8; }

  std::uint64_t bytes_;
#endif
};

}  // namespace etl::encode
