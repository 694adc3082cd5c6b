#include "base/error.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace etl {

std::string error::to_text() const {
  std::string text = message;
  if (!sqlstate.empty()) text += fmt::format(" (SQLSTATE {})", sqlstate);
  if (where != lsn{}) text += fmt::format(" at LSN {}", where.to_text());
  if (!hint.empty()) {
    if (!text.empty() && text.back() != '.') text += '.';
    text += ' ';
    text += hint;
  }
  return text;
}

void throw_exception_from_error(error const& failure, boost::source_location const& where) {
  throw std::logic_error(
      fmt::format("{}:{}: unchecked error {}: {}", where.file_name(), where.line(), failure.code, failure.to_text()));
}

}  // namespace etl
