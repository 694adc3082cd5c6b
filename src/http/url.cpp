#include "http/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace etl::http {
namespace {

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

error unreadable(std::string_view why) {
  return {severity::config, "http.url", fmt::format("the URL cannot be read: {}", why),
          "Write it as https://host or https://host:port."};
}

std::string bracketed(std::string const& host) {
  return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string url::authority() const {
  return port == (secure ? 443 : 80) ? bracketed(host) : fmt::format("{}:{}", bracketed(host), port);
}

std::string url::address() const { return fmt::format("{}:{}", bracketed(host), port); }

result<url> url::parse(std::string_view text) {
  url found;
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
    found.secure = false;
    found.port = 80;
  } else {
    return unreadable("it begins neither with https:// nor with http://");
  }
  auto authority = text.substr(0, text.find_first_of("/?#"));
  auto rest = text.substr(authority.size());
  rest = rest.substr(0, rest.find('#'));
  if (auto const at = authority.rfind('@'); at != std::string_view::npos) {
    found.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    auto const end = authority.find(']');
    if (end == std::string_view::npos) return unreadable("the brackets of an IPv6 address are not closed");
    found.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    auto const colon = std::min(authority.find(':'), authority.size());
    found.host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  auto const in_a_host = [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == ':'; };
  if (found.host.empty() || !std::all_of(found.host.begin(), found.host.end(), in_a_host)) {
    return unreadable("it names no host");
  }
  for (char& c : found.host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (!port.empty()) {
    auto const [end, failed] = std::from_chars(port.data() + 1, port.data() + port.size(), found.port);
    if (port.front() != ':' || failed != std::errc() || end != port.data() + port.size() || found.port == 0) {
      return unreadable("its port is no number from 1 to 65535");
    }
  }
  auto const printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::all_of(rest.begin(), rest.end(), printable))
    return unreadable("its path holds bytes to be percent-encoded");
  found.target = rest.starts_with('/') ? std::string(rest) : fmt::format("/{}", rest);
  return found;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (char const c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      auto const byte = static_cast<unsigned char>(c);
      encoded += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return encoded;
}

std::string percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int const high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    int const low = high < 0 ? -1 : hex_digit(text[i + 2]);
    if (low < 0) {
      decoded += text[i];
    } else {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return decoded;
}

}  // namespace etl::http
