#include "http/proxy.hpp"

#include <algorithm>
#include <cstdlib>

namespace etl::http {
namespace {

std::string from_environment(char const* lower, char const* upper) {
  char const* found = std::getenv(lower);
  if (found == nullptr) found = std::getenv(upper);
  return found == nullptr ? "" : found;
}

std::string trimmed(std::string_view text) {
  auto const first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

bool covers(std::string pattern, url const& server) {
  if (pattern == "*") return true;
  std::transform(pattern.begin(), pattern.end(), pattern.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (pattern == server.address()) return true;
  if (pattern.starts_with("*.")) pattern.erase(0, 1);
  if (pattern.starts_with('.')) pattern.erase(0, 1);
  if (pattern.empty() || !server.host.ends_with(pattern)) return false;
  return server.host.size() == pattern.size() || server.host[server.host.size() - pattern.size() - 1] == '.';
}

}  // namespace

proxy_settings proxy_settings::from_environment() {
  return {http::from_environment("https_proxy", "HTTPS_PROXY"), http::from_environment("no_proxy", "NO_PROXY")};
}

result<std::optional<url>> proxy_for(proxy_settings const& all, url const& server) {
  if (all.https_proxy.empty() || !server.secure) return std::optional<url>();
  std::string_view rest = all.no_proxy;
  while (!rest.empty()) {
    auto const pattern = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(pattern.size() + 1, rest.size()));
    if (covers(trimmed(pattern), server)) return std::optional<url>();
  }
  auto const has_scheme = all.https_proxy.find("://") != std::string::npos;
  auto proxy = url::parse(has_scheme ? all.https_proxy : "http://" + all.https_proxy);
  if (!proxy || proxy->secure) {
    return error{severity::config, "http.proxy", "HTTPS_PROXY is no URL of a proxy",
                 "Write it as http://host:port; proxies that want TLS themselves are not supported."};
  }
  return std::optional<url>(std::move(proxy).value());
}

}  // namespace etl::http
