#include "http/rsa_key.hpp"

#include <catch2/catch.hpp>

#include "http/base64.hpp"
#include "support/http_server.hpp"
#include "support/show_result.hpp"

using etl::http::from_base64;
using etl::http::rsa_key;
using etl::test::key_text;
using etl::test::verifies;

TEST_CASE("signatures are those of the key") {
  for (std::string const passphrase : {"", "open sesame"}) {
    auto const text = key_text::make(passphrase);
    auto const key = rsa_key::load(text.private_pem, passphrase);
    REQUIRE(key);
    CHECK(key->public_key_digest().size() == 32);
    CHECK(verifies(text.public_pem, "to be signed", key->sign("to be signed")));
    CHECK(!verifies(text.public_pem, "something else", key->sign("to be signed")));
  }
}

// A PEM text is the DER in base64 between two lines.
TEST_CASE("the digest is that of the DER public key") {
  auto const text = key_text::make("");
  auto const key = rsa_key::load(text.private_pem, "");
  REQUIRE(key);
  auto const body = text.public_pem.substr(text.public_pem.find('\n') + 1);
  std::string packed;
  for (char const c : body.substr(0, body.find("-----"))) {
    if (c != '\n') packed += c;
  }
  CHECK(key->public_key_digest() == etl::test::sha256(from_base64(packed)));
}

TEST_CASE("keys that cannot be used say why") {
  auto const locked = key_text::make("open sesame").private_pem;
  struct row {
    std::string pem, passphrase;
    std::string_view code;
  };
  for (auto const& [pem, passphrase, code] : {
           row{locked, "", "http.key_passphrase"},
           row{locked, "close sesame", "http.key_passphrase"},
           row{"", "", "http.key"},
           row{"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "", "http.key"},
           row{key_text::make("", 1024).private_pem, "", "http.key"},
       }) {
    auto const refused = rsa_key::load(pem, passphrase);
    REQUIRE(!refused);
    CHECK(refused.error().code == code);
    CHECK(refused.error().kind == etl::severity::config);
    CHECK(refused.error().to_text().find("sesame") == std::string::npos);
  }
}
