#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace etl::http {

// "https://host:port/path?query" in its parts (RFC 3986). Names of hosts in lower case, IPv6 addresses without
// brackets.
struct url {
  bool secure = true;
  std::string host;
  std::uint16_t port = 443;
  std::string user_info;  // as it stands, percent-encoded: may hold a password
  std::string target = "/";

  // What belongs into the Host header: the port only where it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  // "host:port".
  [[nodiscard]] std::string address() const;

  // Errors (config): http.url. The message does not quote the text, which may hold a password.
  [[nodiscard]] static result<url> parse(std::string_view text);
};

// For a segment of a path, and for names and values of a query or a form: letters, digits and -._~ stay, all other
// bytes become %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace etl::http
