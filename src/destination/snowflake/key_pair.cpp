#include "destination/snowflake/key_pair.hpp"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "http/base64.hpp"

namespace etl::destination::snowflake {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

}  // namespace

std::string account_in_tokens(std::string_view account) {
  // Of a locator with replication ("name-id.global") the part behind the hyphen is no part of the name, either.
  bool const is_global = account.find(".global") != std::string_view::npos;
  return upper(account.substr(0, account.find(is_global ? '-' : '.')));
}

result<key_pair> key_pair::load(std::string_view account, std::string_view user, std::string_view pem,
                                std::string_view passphrase) {
  auto key = http::rsa_key::load(pem, passphrase);
  if (!key) {
    auto failure = fail(std::move(key));
    bool const locked = failure.code == "http.key_passphrase";
    failure.code = locked ? "snowflake.passphrase" : "snowflake.private_key";
    if (locked) failure.hint = "Set passphrase beside private_key.";
    return failure;
  }
  return key_pair(std::move(key).value(), fmt::format("{}.{}", account_in_tokens(account), upper(user)));
}

std::string key_pair::fingerprint() const { return "SHA256:" + http::base64(key_.public_key_digest()); }

std::string key_pair::token(std::chrono::system_clock::time_point now, std::chrono::seconds lifetime) const {
  auto const issued = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  boost::json::object const claims{{"iss", fmt::format("{}.{}", subject_, fingerprint())},
                                   {"sub", subject_},
                                   {"iat", issued},
                                   {"exp", issued + lifetime.count()}};
  auto const signed_part = fmt::format("{}.{}", http::base64url(R"({"alg":"RS256","typ":"JWT"})"),
                                       http::base64url(boost::json::serialize(claims)));
  return fmt::format("{}.{}", signed_part, http::base64url(key_.sign(signed_part)));
}

}  // namespace etl::destination::snowflake
