#pragma once

#include <string>
#include <string_view>

namespace etl::http {

// RFC 4648, section 4: with padding.
[[nodiscard]] std::string base64(std::string_view bytes);
// RFC 4648, section 5, as JSON Web Signatures want it: without padding.
[[nodiscard]] std::string base64url(std::string_view bytes);
// Of either alphabet, up to the first byte that belongs to neither.
[[nodiscard]] std::string from_base64(std::string_view text);

}  // namespace etl::http
