#include "encode/copy_rows.hpp"

#include <cstring>

#include "encode/row_shape.hpp"

namespace etl::encode {
namespace {

using pgoutput::value_kind;

constexpr std::size_t count_size = sizeof(std::int16_t);
constexpr std::size_t length_size = sizeof(std::int32_t);

char* put_count(char* out, std::size_t count) {
  *out++ = static_cast<char>(count >> 8);
  *out++ = static_cast<char>(count);
  return out;
}

char* put_value(char* out, pgoutput::value const& v) {
  auto const length = v.kind == value_kind::null        ? copy_null
                      : v.kind == value_kind::unchanged ? copy_unchanged
                                                        : static_cast<std::int32_t>(v.data.size());
  auto const bits = static_cast<std::uint32_t>(length);
  for (int shift = 24; shift >= 0; shift -= 8) *out++ = static_cast<char>(bits >> shift);
  if (!v.data.empty()) std::memcpy(out, v.data.data(), v.data.size());
  return out + v.data.size();
}

void append_row(buffer& out, pgoutput::tuple row) {
  std::size_t size = count_size;
  for (auto const& v : row) size += length_size + v.data.size();
  char* at = put_count(out.reserve(size), row.size());
  for (auto const& v : row) at = put_value(at, v);
  out.commit(size);
}

void append_key(buffer& out, pgoutput::tuple row, std::vector<std::uint16_t> const& key) {
  std::size_t size = count_size;
  for (auto const index : key) size += length_size + row[index].data.size();
  char* at = put_count(out.reserve(size), key.size());
  for (auto const index : key) at = put_value(at, row[index]);
  out.commit(size);
}

}  // namespace

result<void> encode_copy_row(buffer& out, model::relation const& table, model::operation kind,
                             pgoutput::tuple old_values, pgoutput::tuple new_row) {
  if (auto wrong = check_shape(table, kind, old_values, new_row)) return *std::move(wrong);
  if (kind == model::operation::remove && table.key.empty()) {
    append_row(out, old_values);
  } else if (kind == model::operation::remove || kind == model::operation::rekey) {
    append_key(out, old_values, table.key);
  }
  if (kind != model::operation::remove) append_row(out, new_row);
  return result<void>();
}

}  // namespace etl::encode
