#pragma once

#include <boost/endian/conversion.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "destination/postgres/tuple.hpp"
#include "model/batch.hpp"

// Hand-made rows in the frame of encode/copy_rows.hpp, around values in text form.
namespace etl::test {

struct cell {
  std::int32_t length;
  std::string bytes;

  cell(char const* text) : length(static_cast<std::int32_t>(std::string_view(text).size())), bytes(text) {}
  cell(std::string text) : length(static_cast<std::int32_t>(text.size())), bytes(std::move(text)) {}
  explicit cell(std::int32_t marker) : length(marker) {}
};
inline cell const null(encode::copy_null);
inline cell const unchanged(encode::copy_unchanged);

// Big-endian integers, as the binary format has them.
template <class Integer>
cell binary(Integer number) {
  std::string bytes(sizeof(number), '\0');
  boost::endian::endian_store<Integer, sizeof(Integer), boost::endian::order::big>(
      reinterpret_cast<unsigned char*>(bytes.data()), number);
  return bytes;
}

inline std::string fields(std::vector<cell> const& cells) {
  std::string out;
  for (auto const& one : cells) out += binary(one.length).bytes + one.bytes;
  return out;
}

inline std::string tuple(std::vector<cell> const& cells) {
  return binary(static_cast<std::int16_t>(cells.size())).bytes + fields(cells);
}

// A segment of one table.
class segment {
 public:
  explicit segment(model::relation_ptr table) : table_(std::move(table)) {}

  segment& insert(std::vector<cell> const& cells) { return add(model::operation::insert, tuple(cells)); }
  segment& copy(std::vector<cell> const& cells) {
    copied_ = true;
    return add(model::operation::copy, tuple(cells));
  }
  segment& update(std::vector<cell> const& cells) {
    bool partial = false;
    for (auto const& one : cells) partial = partial || one.length == unchanged.length;
    return add(model::operation::update, tuple(cells), partial);
  }
  segment& remove(std::vector<cell> const& key) { return add(model::operation::remove, tuple(key)); }
  segment& rekey(std::vector<cell> const& old_key, std::vector<cell> const& cells) {
    return add(model::operation::rekey, tuple(old_key) + tuple(cells), true);
  }
  segment& copying() {
    copying_ = true;
    return *this;
  }

  [[nodiscard]] model::table_rows rows() const {
    model::table_rows made;
    made.table = table_;
    made.bytes.append(bytes_);
    made.rows = rows_;
    made.copied = copied_;
    made.copying = copying_;
    for (auto const& row : rows_) {
      made.only_new = made.only_new && (row.kind == model::operation::insert || row.kind == model::operation::copy);
    }
    return made;
  }

 private:
  segment& add(model::operation kind, std::string const& bytes, bool partial = false) {
    bytes_ += bytes;
    rows_.push_back({static_cast<std::uint32_t>(bytes.size()), kind, partial});
    return *this;
  }

  model::relation_ptr table_;
  std::string bytes_;
  std::vector<model::row> rows_;
  bool copied_ = false;
  bool copying_ = false;
};

inline model::column column(std::string name, std::uint32_t oid, std::string type, bool not_null = false) {
  model::column made;
  made.name = std::move(name);
  made.type_oid = made.base_type_oid = oid;
  made.type_name = made.base_type_name = std::move(type);
  made.not_null = not_null;
  return made;
}

inline model::relation_ptr relation(std::string name, std::vector<model::column> columns,
                                    std::vector<std::uint16_t> key, std::uint32_t oid = 1, std::uint32_t version = 1) {
  auto made = std::make_shared<model::relation>();
  made->oid = oid;
  made->version = version;
  made->schema = "shop";
  made->name = std::move(name);
  made->columns = std::move(columns);
  made->key = std::move(key);
  for (auto const place : made->key) made->columns[place].key = true;
  return made;
}

}  // namespace etl::test
