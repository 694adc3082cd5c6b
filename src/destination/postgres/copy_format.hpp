#pragma once

#include <cstdint>
#include <string_view>

#include "base/buffer.hpp"
#include "destination/destination.hpp"
#include "destination/postgres/tuple.hpp"

namespace etl::destination::postgres {

// Writes what follows COPY … FROM STDIN (PostgreSQL manual, COPY, "File Formats"): binary when the rows hold binary
// values, text otherwise. Pure: the caller sends the bytes.
class copy_format {
 public:
  copy_format(encoding rows, model::relation const& table);

  void begin(buffer& out) const;
  void end(buffer& out) const;
  // A whole row for the table itself.
  void row(buffer& out, std::string_view tuple) const;
  // A row for the staging table: `kind` is its first column; unchanged values become NULL.
  void staged_row(buffer& out, std::int16_t kind, std::string_view tuple) const;
  // The same for a row of which only the key is known.
  void staged_key(buffer& out, std::int16_t kind, std::string_view key) const;

 private:
  void staged_start(buffer& out, std::int16_t kind) const;
  void put(buffer& out, field const& value) const;

  bool binary_;
  std::int16_t columns_;
  std::vector<std::int16_t> key_place_;  // for each column: its place in the key, or -1
  std::size_t key_size_;
};

}  // namespace etl::destination::postgres
