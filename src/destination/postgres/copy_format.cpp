#include "destination/postgres/copy_format.hpp"

#include <fmt/format.h>

#include <array>

namespace etl::destination::postgres {
namespace {

void put_int16(buffer& out, std::int16_t number) {
  boost::endian::endian_store<std::int16_t, 2, boost::endian::order::big>(
      reinterpret_cast<unsigned char*>(out.reserve(2)), number);
  out.commit(2);
}

void put_int32(buffer& out, std::int32_t number) {
  boost::endian::endian_store<std::int32_t, 4, boost::endian::order::big>(
      reinterpret_cast<unsigned char*>(out.reserve(4)), number);
  out.commit(4);
}

// What stands behind the backslash in COPY's text format, or 0 for bytes that stand for themselves.
constexpr auto escapes = [] {
  std::array<char, 256> table{};
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['\v'] = 'v';
  table['\\'] = '\\';
  return table;
}();

void put_text(buffer& out, std::string_view text) {
  char* const start = out.reserve(2 * text.size());
  char* at = start;
  for (char const c : text) {
    char const escape = escapes[static_cast<unsigned char>(c)];
    if (escape != 0) *at++ = '\\';
    *at++ = escape != 0 ? escape : c;
  }
  out.commit(static_cast<std::size_t>(at - start));
}

}  // namespace

copy_format::copy_format(encoding rows, model::relation const& table)
    : binary_(rows == encoding::copy_binary),
      columns_(static_cast<std::int16_t>(table.columns.size())),
      key_place_(table.columns.size(), -1),
      key_size_(table.key.size()) {
  for (std::size_t i = 0; i < table.key.size(); ++i) key_place_[table.key[i]] = static_cast<std::int16_t>(i);
}

void copy_format::begin(buffer& out) const {
  if (!binary_) return;
  using namespace std::string_view_literals;
  out.append("PGCOPY\n\377\r\n\0"sv);
  put_int32(out, 0);  // flags
  put_int32(out, 0);  // length of the header's extension
}

void copy_format::end(buffer& out) const {
  if (binary_) put_int16(out, -1);
}

void copy_format::row(buffer& out, std::string_view tuple) const {
  if (binary_) {
    out.append(tuple);
    return;
  }
  bool is_first = true;
  for (field_cursor cursor(fields_of(tuple)); !cursor.at_end(); is_first = false) {
    if (!is_first) out.push_back('\t');
    put(out, cursor.next());
  }
  out.push_back('\n');
}

void copy_format::staged_row(buffer& out, std::int16_t kind, std::string_view tuple) const {
  staged_start(out, kind);
  for (field_cursor cursor(fields_of(tuple)); !cursor.at_end();) {
    if (!binary_) out.push_back('\t');
    put(out, cursor.next());
  }
  if (!binary_) out.push_back('\n');
}

void copy_format::staged_key(buffer& out, std::int16_t kind, std::string_view key) const {
  std::vector<field> fields(key_size_);
  field_cursor cursor(key);
  for (auto& one : fields) one = cursor.next();
  staged_start(out, kind);
  for (auto const place : key_place_) {
    if (!binary_) out.push_back('\t');
    put(out, place < 0 ? field{} : fields[static_cast<std::size_t>(place)]);
  }
  if (!binary_) out.push_back('\n');
}

void copy_format::staged_start(buffer& out, std::int16_t kind) const {
  if (binary_) {
    put_int16(out, static_cast<std::int16_t>(columns_ + 1));
    put_int32(out, sizeof(kind));
    put_int16(out, kind);
  } else {
    out.append(fmt::format_int(kind).c_str());
  }
}

void copy_format::put(buffer& out, field const& value) const {
  bool const is_null = value.length < 0;
  if (binary_ && is_null) {
    put_int32(out, copy_null);
  } else if (binary_) {
    out.append(value.prefixed());
  } else if (is_null) {
    out.append("\\N");
  } else {
    put_text(out, value.data());
  }
}

}  // namespace etl::destination::postgres
