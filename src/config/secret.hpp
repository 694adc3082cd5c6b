#pragma once

#include <string>
#include <utility>

namespace etl::config {

// A value that must never be printed: a password, or a URL that may hold one. It has no stream operator and no fmt
// formatter; reveal() is to be called only where the value is handed to the library that needs it.
class secret {
 public:
  secret() = default;
  explicit secret(std::string value) : value_(std::move(value)) {}

  // Borrowed from this object.
  [[nodiscard]] std::string const& reveal() const { return value_; }
  [[nodiscard]] bool empty() const { return value_.empty(); }
  friend bool operator==(secret const&, secret const&) = default;

 private:
  std::string value_;
};

}  // namespace etl::config
