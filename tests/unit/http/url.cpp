#include "http/url.hpp"

#include <catch2/catch.hpp>

#include "support/show_result.hpp"

using etl::http::percent_decode;
using etl::http::percent_encode;
using etl::http::url;

TEST_CASE("URLs in their parts") {
  struct row {
    std::string_view text;
    bool secure;
    std::string_view host;
    std::uint16_t port;
    std::string_view target, authority;
  };
  for (auto const& expected : {
           row{"https://Example.COM", true, "example.com", 443, "/", "example.com"},
           row{"https://example.com:8443/a/b?c=d#e", true, "example.com", 8443, "/a/b?c=d", "example.com:8443"},
           row{"http://127.0.0.1?x", false, "127.0.0.1", 80, "/?x", "127.0.0.1"},
           row{"https://[::1]:443/", true, "::1", 443, "/", "[::1]"},
           row{"http://[::1]:443/", false, "::1", 443, "/", "[::1]:443"},
       }) {
    CAPTURE(expected.text);
    auto const found = url::parse(expected.text);
    REQUIRE(found);
    CHECK(found->secure == expected.secure);
    CHECK(found->host == expected.host);
    CHECK(found->port == expected.port);
    CHECK(found->target == expected.target);
    CHECK(found->authority() == expected.authority);
  }
}

TEST_CASE("what is no URL is refused without being quoted") {
  for (auto const* text :
       {"", "example.com", "ftp://example.com", "https://", "https://user:secret@", "https://a b", "https://host:port",
        "https://host:0", "https://host:65536", "https://[::1", "https://h/ä"}) {
    CAPTURE(text);
    auto const found = url::parse(text);
    REQUIRE(!found);
    CHECK(found.error().code == "http.url");
    CHECK(found.error().kind == etl::severity::config);
    CHECK(found.error().to_text().find("secret") == std::string::npos);
  }
}

TEST_CASE("user and password stand apart") {
  auto const found = url::parse("http://me:p%40ss@proxy:3128");
  REQUIRE(found);
  CHECK(found->user_info == "me:p%40ss");
  CHECK(found->address() == "proxy:3128");
}

TEST_CASE("percent-encoding") {
  CHECK(percent_encode("a-Z_0.9~") == "a-Z_0.9~");
  CHECK(percent_encode("a b/c\"ä") == "a%20b%2Fc%22%C3%A4");
  CHECK(percent_decode("a%20b%2fc%22%C3%A4") == "a b/c\"ä");
  CHECK(percent_decode("100%, %zz, %4") == "100%, %zz, %4");
}
