#pragma once

#include <boost/endian/conversion.hpp>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "encode/copy_rows.hpp"
#include "model/relation.hpp"

// Reads the rows of encode/copy_rows.hpp where they lie: int16 number of fields, then for each field its int32 length
// and its bytes; all big-endian (PostgreSQL manual, COPY, "Binary Format", Tuples).
namespace etl::destination::postgres {

using encode::copy_null;
using encode::copy_unchanged;
inline constexpr std::size_t count_size = sizeof(std::int16_t);
inline constexpr std::size_t length_size = sizeof(std::int32_t);

// One field of a tuple. Borrows from the row.
struct field {
  std::int32_t length = copy_null;
  char const* start = nullptr;  // of the length prefix

  [[nodiscard]] std::string_view prefixed() const { return {start, length_size + data_size()}; }
  [[nodiscard]] std::string_view data() const { return {start + length_size, data_size()}; }
  [[nodiscard]] bool is_null() const { return length == copy_null; }
  [[nodiscard]] bool is_unchanged() const { return length == copy_unchanged; }

 private:
  [[nodiscard]] std::size_t data_size() const { return length < 0 ? 0 : static_cast<std::size_t>(length); }
};

// Goes through length-prefixed fields. Rows come from this process' own encoder, so a row that ends too early is a bug
// and throws std::logic_error.
class field_cursor {
 public:
  explicit field_cursor(std::string_view fields) : at_(fields.data()), end_(fields.data() + fields.size()) {}

  [[nodiscard]] field next() {
    if (end_ - at_ < static_cast<std::ptrdiff_t>(length_size)) throw std::logic_error("an encoded row ends too early");
    field found{boost::endian::endian_load<std::int32_t, 4, boost::endian::order::big>(
                    reinterpret_cast<unsigned char const*>(at_)),
                at_};
    auto const size = found.prefixed().size();
    if (static_cast<std::size_t>(end_ - at_) < size) throw std::logic_error("an encoded row ends too early");
    at_ += size;
    return found;
  }
  [[nodiscard]] bool at_end() const { return at_ == end_; }
  // What next() has not returned yet.
  [[nodiscard]] std::string_view rest() const { return {at_, static_cast<std::size_t>(end_ - at_)}; }

 private:
  char const* at_;
  char const* end_;
};

// The fields of a tuple, without their number.
[[nodiscard]] inline std::string_view fields_of(std::string_view tuple) {
  if (tuple.size() < count_size) throw std::logic_error("an encoded row ends too early");
  return tuple.substr(count_size);
}

// Memory for what has to be put together anew (keys out of several places, merged rows). Addresses are stable; all of
// it is given back at once.
class arena {
 public:
  [[nodiscard]] char* take(std::size_t size) { return static_cast<char*>(memory_.allocate(size, 1)); }
  void release() { memory_.release(); }

 private:
  std::pmr::monotonic_buffer_resource memory_{16 * 1024};
};

// Finds a relation's key in its rows. The key is spelled as its length-prefixed fields in key order, which is also how
// rows that carry only a key have it: equal bytes are equal keys.
class key_reader {
 public:
  explicit key_reader(model::relation const& table);

  // The key of a tuple with all columns. Borrows from the row where the key's columns lie side by side, from `memory`
  // otherwise.
  [[nodiscard]] std::string_view of(std::string_view tuple, arena& memory) const;

 private:
  std::vector<std::uint16_t> columns_;  // in key order
  std::uint16_t first_ = 0;
  std::uint16_t last_ = 0;
  bool contiguous_ = true;  // ascending without gaps
};

}  // namespace etl::destination::postgres
