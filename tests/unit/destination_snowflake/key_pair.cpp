#include "destination/snowflake/key_pair.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>

#include "http/base64.hpp"
#include "support/http_server.hpp"
#include "support/show_result.hpp"

using namespace std::chrono_literals;
using etl::destination::snowflake::account_in_tokens;
using etl::destination::snowflake::key_pair;
using etl::http::from_base64;
using etl::test::key_text;

TEST_CASE("accounts as tokens name them") {
  struct row {
    std::string_view written, in_tokens;
  };
  for (auto const& [written, in_tokens] : {
           row{"myorg-myaccount", "MYORG-MYACCOUNT"},
           row{"xy12345", "XY12345"},
           row{"xy12345.us-east-2.aws", "XY12345"},
           row{"xy12345-b.global", "XY12345"},
       }) {
    CHECK(account_in_tokens(written) == in_tokens);
  }
}

TEST_CASE("a token says who signs it, and is signed") {
  auto const text = key_text::make("pass");
  auto const keys = key_pair::load("myorg-test", "Etl", text.private_pem, "pass");
  REQUIRE(keys);
  auto const now = std::chrono::system_clock::time_point(1'700'000'000s);
  auto const token = keys->token(now, 3000s);
  auto const first = token.find('.');
  auto const last = token.rfind('.');
  CHECK(boost::json::parse(from_base64(token.substr(0, first))).at("alg") == "RS256");
  auto const claims = boost::json::parse(from_base64(token.substr(first + 1, last - first - 1)));
  CHECK(claims.at("iss").as_string() == "MYORG-TEST.ETL." + keys->fingerprint());
  CHECK(claims.at("sub") == "MYORG-TEST.ETL");
  CHECK(claims.at("iat") == 1'700'000'000);
  CHECK(claims.at("exp") == 1'700'003'000);
  CHECK(keys->fingerprint().starts_with("SHA256:"));
  CHECK(etl::test::verifies(text.public_pem, token.substr(0, last), from_base64(token.substr(last + 1))));
}

TEST_CASE("keys that do not open name the setting") {
  auto const locked = key_text::make("pass").private_pem;
  CHECK(key_pair::load("a", "u", locked, "").error().code == "snowflake.passphrase");
  CHECK(key_pair::load("a", "u", locked, "wrong").error().code == "snowflake.passphrase");
  CHECK(key_pair::load("a", "u", "no key", "").error().code == "snowflake.private_key");
}
