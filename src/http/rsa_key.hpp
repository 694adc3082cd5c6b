#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"

// OpenSSL's type, so that its header stays inside this room.
struct evp_pkey_st;

namespace etl::http {

// An RSA private key for signatures. May be used from every core.
class rsa_key {
 public:
  // `pem`: PKCS#8 ("BEGIN PRIVATE KEY", "BEGIN ENCRYPTED PRIVATE KEY") or PKCS#1. An empty passphrase is none. Errors
  // (config): http.key, http.key_passphrase.
  [[nodiscard]] static result<rsa_key> load(std::string_view pem, std::string_view passphrase);

  // SHA-256 of the public key as a DER SubjectPublicKeyInfo (RFC 5280, 4.1), 32 bytes.
  [[nodiscard]] std::string public_key_digest() const;
  // RSASSA-PKCS1-v1_5 with SHA-256: "RS256" of RFC 7518, section 3.3. The signature's bytes.
  [[nodiscard]] std::string sign(std::string_view text) const;

 private:
  struct release {
    void operator()(evp_pkey_st* key) const noexcept;
  };
  explicit rsa_key(evp_pkey_st* owned) : key_(owned) {}

  std::unique_ptr<evp_pkey_st, release> key_;
};

}  // namespace etl::http
