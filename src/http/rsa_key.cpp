#include "http/rsa_key.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

namespace etl::http {
namespace {

constexpr int least_bits = 2048;

// What OpenSSL asks for a passphrase; without one it would ask the terminal.
struct asked {
  std::string_view passphrase;
  bool was = false;
};

int answer(char* out, int size, int, void* about) {
  auto& question = *static_cast<asked*>(about);
  question.was = true;
  auto const length = static_cast<int>(question.passphrase.size());
  if (length == 0 || length > size) return -1;
  std::memcpy(out, question.passphrase.data(), question.passphrase.size());
  return length;
}

error unfit(std::string message, std::string hint) {
  ERR_clear_error();
  return {severity::config, "http.key", std::move(message), std::move(hint)};
}

}  // namespace

void rsa_key::release::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

result<rsa_key> rsa_key::load(std::string_view pem, std::string_view passphrase) {
  std::unique_ptr<BIO, decltype(&BIO_free_all)> const source(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                             &BIO_free_all);
  asked question{passphrase};
  rsa_key key(PEM_read_bio_PrivateKey(source.get(), nullptr, answer, &question));
  if (!key.key_) {
    if (!question.was) return unfit("the private key is no PEM text", "It begins with -----BEGIN PRIVATE KEY-----.");
    ERR_clear_error();
    return error{severity::config, "http.key_passphrase",
                 passphrase.empty() ? "the private key is encrypted, and there is no passphrase"
                                    : "the passphrase does not open the private key"};
  }
  if (EVP_PKEY_base_id(key.key_.get()) != EVP_PKEY_RSA) {
    return unfit("the private key is not an RSA key", "openssl genrsa 2048 makes one.");
  }
  if (EVP_PKEY_bits(key.key_.get()) < least_bits) {
    return unfit("the private key is too short", "openssl genrsa 2048 makes one of 2048 bits.");
  }
  return key;
}

std::string rsa_key::public_key_digest() const {
  unsigned char* der = nullptr;
  int const size = i2d_PUBKEY(key_.get(), &der);
  if (size <= 0) throw std::bad_alloc();
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(der, static_cast<std::size_t>(size), reinterpret_cast<unsigned char*>(digest.data()));
  OPENSSL_free(der);
  return digest;
}

std::string rsa_key::sign(std::string_view text) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> const context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  auto const* const bytes = reinterpret_cast<unsigned char const*>(text.data());
  std::size_t size = 0;
  // With a key that load() accepted these fail for want of memory alone.
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1) {
    throw std::bad_alloc();
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()) !=
      1) {
    throw std::bad_alloc();
  }
  signature.resize(size);
  return signature;
}

}  // namespace etl::http
