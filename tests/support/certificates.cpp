#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdexcept>

#include "support/http_server.hpp"

namespace etl::test {
namespace {

struct release {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bytes) const { BIO_free_all(bytes); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
template <class T>
using owned = std::unique_ptr<T, release>;

void must(bool done) {
  if (!done) throw std::runtime_error("OpenSSL refused");
}

owned<EVP_PKEY> new_key(int bits = 2048) {
  owned<EVP_PKEY> key(EVP_RSA_gen(static_cast<unsigned>(bits)));
  must(key != nullptr);
  return key;
}

template <class Write>
std::string pem(Write write) {
  owned<BIO> const bytes(BIO_new(BIO_s_mem()));
  must(write(bytes.get()) == 1);
  char* start = nullptr;
  auto const size = BIO_get_mem_data(bytes.get(), &start);
  return {start, static_cast<std::size_t>(size)};
}

void add_extension(X509* to, X509* issuer, int what, std::string const& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  owned<X509_EXTENSION> const extension(X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()));
  must(extension != nullptr);
  must(X509_add_ext(to, extension.get(), -1) == 1);
}

owned<X509> new_certificate(char const* name, EVP_PKEY* key, long from, long to) {
  owned<X509> made(X509_new());
  X509_set_version(made.get(), 2);
  static long serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), from);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), to);
  X509_set_pubkey(made.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<unsigned char const*>(name), -1, -1, 0);
  return made;
}

}  // namespace

identity identity::make(std::string const& names, long valid_from, long valid_to) {
  auto const authority_key = new_key();
  auto const authority = new_certificate("etl-stream test authority", authority_key.get(), -3600, 86400);
  X509_set_issuer_name(authority.get(), X509_get_subject_name(authority.get()));
  add_extension(authority.get(), authority.get(), NID_basic_constraints, "critical,CA:TRUE");
  must(X509_sign(authority.get(), authority_key.get(), EVP_sha256()) != 0);

  auto const key = new_key();
  auto const certificate = new_certificate("server", key.get(), valid_from, valid_to);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority.get()));
  add_extension(certificate.get(), authority.get(), NID_subject_alt_name, names);
  must(X509_sign(certificate.get(), authority_key.get(), EVP_sha256()) != 0);

  return {pem([&](BIO* to) { return PEM_write_bio_X509(to, authority.get()); }),
          pem([&](BIO* to) { return PEM_write_bio_X509(to, certificate.get()); }),
          pem([&](BIO* to) { return PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr); })};
}

key_text key_text::make(std::string const& passphrase, int bits) {
  auto const key = new_key(bits);
  auto const* const cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
  return {pem([&](BIO* to) {
            return PEM_write_bio_PKCS8PrivateKey(to, key.get(), cipher, passphrase.data(),
                                                 static_cast<int>(passphrase.size()), nullptr, nullptr);
          }),
          pem([&](BIO* to) { return PEM_write_bio_PUBKEY(to, key.get()); })};
}

bool verifies(std::string const& public_pem, std::string const& text, std::string const& signature) {
  owned<BIO> const source(BIO_new_mem_buf(public_pem.data(), static_cast<int>(public_pem.size())));
  owned<EVP_PKEY> const key(PEM_read_bio_PUBKEY(source.get(), nullptr, nullptr, nullptr));
  must(key != nullptr);
  owned<EVP_MD_CTX> const context(EVP_MD_CTX_new());
  must(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1);
  return EVP_DigestVerify(context.get(), reinterpret_cast<unsigned char const*>(signature.data()), signature.size(),
                          reinterpret_cast<unsigned char const*>(text.data()), text.size()) == 1;
}

std::string sha256(std::string const& bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<unsigned char const*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace etl::test
