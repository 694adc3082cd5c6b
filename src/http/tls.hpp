#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <string>

#include "base/error.hpp"

namespace etl::http {

namespace asio = boost::asio;

using tls_stream = asio::ssl::stream<asio::ip::tcp::socket&>;

// What holds for all TLS connections to one server: TLS 1.2 or newer, and a certificate that an authority we trust has
// signed for the host's name.
class tls_settings {
 public:
  // Errors (config): http.ca_file.
  [[nodiscard]] static result<std::unique_ptr<tls_settings>> make(std::string const& ca_file);

  // A stream over `socket` (which must outlive it) that is to be with `host`: a name, or an address.
  [[nodiscard]] std::unique_ptr<tls_stream> over(asio::ip::tcp::socket& socket, std::string const& host);

 private:
  tls_settings() = default;

  asio::ssl::context context_{asio::ssl::context::tls_client};
};

// Why the handshake of this stream has failed: http.certificate or http.tls.
[[nodiscard]] error handshake_error(tls_stream& stream, boost::system::error_code failed, std::string const& host);

}  // namespace etl::http
