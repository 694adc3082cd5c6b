#include "http/tls.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ip/address.hpp>

namespace etl::http {

result<std::unique_ptr<tls_settings>> tls_settings::make(std::string const& ca_file) {
  std::unique_ptr<tls_settings> made(new tls_settings);
  boost::system::error_code failed;
  if (ca_file.empty()) {
    made->context_.set_default_verify_paths(failed);
  } else {
    made->context_.load_verify_file(ca_file, failed);
  }
  if (failed) {
    return error{severity::config, "http.ca_file",
                 fmt::format("no certificate authorities can be read from {}",
                             ca_file.empty() ? "the system's place for them" : ca_file),
                 "The file holds certificates in PEM."};
  }
  made->context_.set_verify_mode(asio::ssl::verify_peer);
  SSL_CTX_set_min_proto_version(made->context_.native_handle(), TLS1_2_VERSION);
  return made;
}

std::unique_ptr<tls_stream> tls_settings::over(asio::ip::tcp::socket& socket, std::string const& host) {
  auto stream = std::make_unique<tls_stream>(socket, context_);
  SSL* const ssl = stream->native_handle();
  boost::system::error_code is_name;
  asio::ip::make_address(host, is_name);
  if (is_name) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl, host.c_str());
    // What the macro SSL_set_tlsext_host_name() does, without its cast. OpenSSL copies the name.
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str()));
  } else {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
  }
  return stream;
}

error handshake_error(tls_stream& stream, boost::system::error_code failed, std::string const& host) {
  auto const verdict = SSL_get_verify_result(stream.native_handle());
  if (verdict == X509_V_OK) {
    return {severity::retry, "http.tls", fmt::format("no TLS connection to {}: {}", host, failed.message())};
  }
  error failure{
      severity::config, "http.certificate",
      fmt::format("the certificate of {} is not to be trusted: {}", host, X509_verify_cert_error_string(verdict)),
      "Where a private authority has signed it, name that one's certificate as ca_file."};
  // Those pass when the server's owner renews it, or with this machine's clock.
  if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID) {
    failure.kind = severity::retry;
    failure.hint = "Check this machine's clock.";
  }
  return failure;
}

}  // namespace etl::http
