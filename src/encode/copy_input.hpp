#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "pgoutput/message.hpp"

namespace etl::encode {

// Takes apart what one `COPY … TO STDOUT` sends, message by message: a CopyData message holds one row (PostgreSQL
// manual, "COPY Operations"; COPY, "Text Format" and "Binary Format"). One object a COPY, since the binary format
// begins with a header and ends with a trailer.
class copy_input {
 public:
  // `has_columns`: in text format a row without columns looks like one empty text, so it has to be known beforehand.
  explicit copy_input(bool binary, bool has_columns = true) : binary_(binary), has_columns_(has_columns) {}

  // Fills `values` with the next row's, none of kind `unchanged`; they borrow from `message` and from this object,
  // until the next call. False when the message holds no row (the header, or the trailer). `values` may hold anything
  // before; its memory is used again, so that rows cost no allocation. Errors: copy.format, severity `bug`, for what no
  // server sends.
  [[nodiscard]] result<bool> split(std::string_view message, std::vector<pgoutput::value>& values);

 private:
  result<bool> split_binary(std::string_view message, std::vector<pgoutput::value>& values);
  result<bool> split_text(std::string_view row, std::vector<pgoutput::value>& values);
  bool unescape(std::string_view field, std::string_view& text);

  bool binary_;
  bool has_columns_;
  bool header_seen_ = false;
  bool trailer_seen_ = false;
  buffer unescaped_;
};

}  // namespace etl::encode
