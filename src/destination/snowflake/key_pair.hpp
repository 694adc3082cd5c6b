#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "http/rsa_key.hpp"

namespace etl::destination::snowflake {

// Who a user is to Snowflake: a key pair, whose public half the account knows (Snowflake documentation, "Key-pair
// authentication and key-pair rotation").
class key_pair {
 public:
  // `account`: as in the host's name. `pem`: the private key as PKCS#8. Errors (config): snowflake.private_key,
  // snowflake.passphrase.
  [[nodiscard]] static result<key_pair> load(std::string_view account, std::string_view user, std::string_view pem,
                                             std::string_view passphrase);

  // A JSON Web Token (RFC 7519) signed with RS256, valid from `now` on for `lifetime`, of which Snowflake takes one
  // hour at most.
  [[nodiscard]] std::string token(std::chrono::system_clock::time_point now, std::chrono::seconds lifetime) const;
  // "SHA256:…", as DESCRIBE USER shows it under RSA_PUBLIC_KEY_FP.
  [[nodiscard]] std::string fingerprint() const;

 private:
  key_pair(http::rsa_key key, std::string subject) : key_(std::move(key)), subject_(std::move(subject)) {}

  http::rsa_key key_;
  std::string subject_;  // "ACCOUNT.USER"
};

// The account's name as tokens have it: upper case, without region and cloud. "xy12345.us-east-2.aws" is XY12345.
[[nodiscard]] std::string account_in_tokens(std::string_view account);

}  // namespace etl::destination::snowflake
