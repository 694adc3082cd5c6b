#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/buffer.hpp"
#include "encode/arrow_type.hpp"

namespace etl::encode {

// Why a value has no form in its column.
enum class unfit : std::uint8_t {
  no,
  value,     // its type's value is outside of what Arrow's type can hold, or has no number: NaN, infinity
  encoding,  // a text that is not UTF-8
  nested,    // an array with more than one dimension, or whose first index is not 1
};

// What becomes of dates and timestamps that are `infinity` and `-infinity`.
enum class infinities : std::uint8_t {
  refused,
  extremes,  // the greatest number of the type, and the same below zero: which DuckDB reads as infinity
};

// The values of one column, gathered into the buffers that the Arrow columnar format describes ("Physical memory
// layout"). How a value is read is chosen once, when the column is made. After anything but unfit::no the column must
// not be used.
class arrow_column {
 public:
  arrow_column(arrow_type type, infinities infinite);
  // A record: what is appended to its children belongs to it.
  explicit arrow_column(std::vector<arrow_column> children);

  [[nodiscard]] unfit append(std::string_view text) { return append_(*this, text); }
  void append_null();
  // For a record whose children have got their values, and for columns of this program's own.
  void append_present() { mark(true); }
  void append_text(std::string_view valid_utf8);
  void append_number(std::int64_t number);
  // A list of texts that are valid UTF-8: begin, any number of elements, end.
  void append_element(std::string_view valid_utf8) { children_.front().append_text(valid_utf8); }
  void end_list();

  [[nodiscard]] arrow_type const& type() const { return type_; }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t nulls() const { return nulls_; }
  [[nodiscard]] std::vector<arrow_column>& children() { return children_; }
  [[nodiscard]] std::vector<arrow_column> const& children() const { return children_; }

  // The buffers in the order that the specification gives: at most three. Valid while the column is.
  struct buffers {
    void const* at[3];
    std::int64_t count;
  };
  [[nodiscard]] buffers memory() const;

 private:
  using append_function = unfit (*)(arrow_column&, std::string_view);
  friend struct append_functions;

  void mark(bool present);
  template <class Value>
  void push(Value const& value) {
    *reinterpret_cast<Value*>(values_.reserve(sizeof(Value))) = value;
    values_.commit(sizeof(Value));
  }
  void push_zeros(std::size_t size);
  void push_offset(std::int64_t offset);
  // Drops the rows from `rows` on. Not for lists and records.
  void drop_from(std::int64_t rows);

  arrow_type type_;
  infinities infinite_ = infinities::refused;
  append_function append_ = nullptr;
  std::size_t width_ = 0;  // bytes a value in values_; zero where it varies
  std::int64_t rows_ = 0;
  std::int64_t nulls_ = 0;
  buffer validity_;  // a bit a row
  buffer offsets_;
  buffer values_;
  buffer scratch_;
  std::vector<arrow_column> children_;
};

}  // namespace etl::encode
