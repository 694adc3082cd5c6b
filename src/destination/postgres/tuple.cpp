#include "destination/postgres/tuple.hpp"

#include <algorithm>

namespace etl::destination::postgres {

key_reader::key_reader(model::relation const& table) : columns_(table.key) {
  if (columns_.empty()) return;
  auto const [least, most] = std::minmax_element(columns_.begin(), columns_.end());
  first_ = *least;
  last_ = *most;
  for (std::size_t i = 1; i < columns_.size(); ++i) contiguous_ = contiguous_ && columns_[i] == columns_[i - 1] + 1;
}

std::string_view key_reader::of(std::string_view tuple, arena& memory) const {
  field_cursor cursor(fields_of(tuple));
  for (std::uint16_t i = 0; i < first_; ++i) static_cast<void>(cursor.next());
  char const* const start = cursor.rest().data();
  if (contiguous_) {
    for (std::uint16_t i = first_; i <= last_; ++i) static_cast<void>(cursor.next());
    return {start, static_cast<std::size_t>(cursor.rest().data() - start)};
  }

  std::size_t size = 0;
  auto const found = [&](std::uint16_t wanted) {
    field_cursor again({start, tuple.size() - static_cast<std::size_t>(start - tuple.data())});
    field at;
    for (std::uint16_t i = first_; i <= wanted; ++i) at = again.next();
    return at.prefixed();
  };
  for (auto const column : columns_) size += found(column).size();
  char* const key = memory.take(size);
  char* out = key;
  for (auto const column : columns_) {
    auto const bytes = found(column);
    std::memcpy(out, bytes.data(), bytes.size());
    out += bytes.size();
  }
  return {key, size};
}

}  // namespace etl::destination::postgres
