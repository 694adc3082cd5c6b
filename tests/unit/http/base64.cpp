#include "http/base64.hpp"

#include <catch2/catch.hpp>

using etl::http::base64;
using etl::http::base64url;
using etl::http::from_base64;

TEST_CASE("base64 as RFC 4648 shows it") {
  struct row {
    std::string_view bytes, text;
  };
  for (auto const& [bytes, text] : {row{"", ""}, row{"f", "Zg=="}, row{"fo", "Zm8="}, row{"foo", "Zm9v"},
                                    row{"foob", "Zm9vYg=="}, row{"fooba", "Zm9vYmE="}, row{"foobar", "Zm9vYmFy"}}) {
    CHECK(base64(bytes) == text);
    CHECK(base64url(bytes) == text.substr(0, text.find('=')));
    CHECK(from_base64(text) == bytes);
  }
  CHECK(base64("\xfb\xff") == "+/8=");
  CHECK(base64url("\xfb\xff") == "-_8");
  CHECK(from_base64("-_8") == "\xfb\xff");
}
