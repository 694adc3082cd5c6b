#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "http/url.hpp"

namespace etl::http {

// The environment's words about proxies, as other programs read them: the lower-case name counts first.
struct proxy_settings {
  std::string https_proxy;  // http://user:password@host:port; empty: none
  std::string no_proxy;     // host names, whose subdomains count, too; addresses; "*" for all; separated by commas

  // HTTPS_PROXY and NO_PROXY.
  [[nodiscard]] static proxy_settings from_environment();
};

// The proxy through which to reach a server, or none: only connections with TLS take one, by CONNECT. Errors (config):
// http.proxy.
[[nodiscard]] result<std::optional<url>> proxy_for(proxy_settings const& all, url const& server);

}  // namespace etl::http
