#include "http/proxy.hpp"

#include <catch2/catch.hpp>

#include "support/show_result.hpp"

using etl::http::proxy_for;
using etl::http::proxy_settings;
using etl::http::url;

TEST_CASE("which connections take the proxy") {
  struct row {
    std::string_view server, no_proxy;
    bool through_it;
  };
  for (auto const& [server, no_proxy, through_it] : {
           row{"https://a.example.com", "", true},
           row{"http://a.example.com", "", false},
           row{"https://a.example.com", "a.example.com", false},
           row{"https://a.example.com", "example.com", false},
           row{"https://a.example.com", "x, .EXAMPLE.com ,y", false},
           row{"https://a.example.com", "*.example.com", false},
           row{"https://a.example.com", "ample.com", true},
           row{"https://a.example.com", "*", false},
           row{"https://a.example.com:444", "a.example.com:443", true},
           row{"https://a.example.com:444", "a.example.com:444", false},
           row{"https://127.0.0.1", "localhost,127.0.0.1", false},
           row{"https://a.example.com", ",,", true},
       }) {
    CAPTURE(server, no_proxy);
    auto const found = proxy_for({"http://proxy:3128", std::string(no_proxy)}, *url::parse(server));
    REQUIRE(found);
    CHECK(found->has_value() == through_it);
  }
}

TEST_CASE("how a proxy may be written") {
  auto const server = *url::parse("https://example.com");
  CHECK(proxy_for({"proxy:3128", ""}, server).value()->address() == "proxy:3128");
  CHECK(proxy_for({"http://u:p@proxy:3128/", ""}, server).value()->user_info == "u:p");
  CHECK(proxy_for({"", ""}, server).value() == std::nullopt);
  for (auto const* text : {"https://proxy", "socks5://proxy", "http://"}) {
    auto const refused = proxy_for({text, ""}, server);
    REQUIRE(!refused);
    CHECK(refused.error().code == "http.proxy");
  }
}
