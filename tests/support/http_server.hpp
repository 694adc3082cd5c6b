#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace etl::test {

// A certificate authority of its own, and a server's certificate, all PEM.
struct identity {
  std::string authority;
  std::string certificate;
  std::string key;

  // For the names and addresses, as OpenSSL spells them: "DNS:localhost,IP:127.0.0.1".
  static identity make(std::string const& names, long valid_from = -60, long valid_to = 3600);
};

// An RSA key as PKCS#8 PEM, encrypted when there is a passphrase; and its public half.
struct key_text {
  std::string private_pem;
  std::string public_pem;

  static key_text make(std::string const& passphrase, int bits = 2048);
};
// Whether an RS256 signature is that of the key's owner.
bool verifies(std::string const& public_pem, std::string const& text, std::string const& signature);

std::string sha256(std::string const& bytes);

// HTTP/1.1 on a port of its own, a thread a connection.
class http_server {
 public:
  struct request {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
    unsigned connection = 0;  // counted from 1
  };
  struct reply {
    unsigned status = 200;
    std::string body;
    std::map<std::string, std::string> headers;
    enum class ending : std::uint8_t { keep, close, silent, cut } how = ending::keep;  // silent: never; cut: no answer
  };
  using handler = std::function<reply(request const&)>;

  // The handler runs on the connections' threads. With TLS when there is an identity.
  explicit http_server(handler answer, identity const* with_tls = nullptr);
  ~http_server();
  http_server(http_server const&) = delete;
  http_server& operator=(http_server const&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  // "https://localhost:port" or "http://localhost:port".
  [[nodiscard]] std::string url() const;
  [[nodiscard]] unsigned connections() const;
  // Closes all connections, as a server does that is tired of idle ones. The port stays open.
  void disconnect();

 private:
  struct inside;
  std::unique_ptr<inside> inside_;
};

// A proxy that does what CONNECT asks for.
class connect_proxy {
 public:
  // `authorization`: what Proxy-Authorization has to say; empty: nothing.
  explicit connect_proxy(std::string authorization = "");
  ~connect_proxy();
  connect_proxy(connect_proxy const&) = delete;
  connect_proxy& operator=(connect_proxy const&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string last_target() const;

 private:
  struct inside;
  std::unique_ptr<inside> inside_;
};

}  // namespace etl::test
