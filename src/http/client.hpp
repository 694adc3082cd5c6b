#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "http/message.hpp"
#include "http/proxy.hpp"
#include "http/url.hpp"
#include "runtime/event.hpp"

namespace etl::http {

namespace asio = boost::asio;

class connection;
class tls_settings;

struct client_options {
  std::string url;      // scheme, host and port count
  std::string ca_file;  // PEM; empty: the system's certificate authorities (and SSL_CERT_FILE)
  proxy_settings proxies = proxy_settings::from_environment();
  std::size_t connections = 16;                       // at once; more requests wait
  std::size_t most_answer = 64 << 20;                 // bytes of an answer's body
  std::chrono::milliseconds connect_timeout{10'000};  // name, proxy and TLS included
  std::chrono::milliseconds keep_idle{45'000};        // below what servers and firewalls allow
};

// One server over HTTP/1.1, with or without TLS. Connections are kept and used again. Lives on its home core; it must
// outlive the requests.
class client {
 public:
  // Errors (config): http.url, http.proxy, http.ca_file.
  [[nodiscard]] static result<std::unique_ptr<client>> make(asio::any_io_executor home, client_options options);
  ~client();
  client(client const&) = delete;
  client& operator=(client const&) = delete;

  // Whatever the server answers is an answer, whatever its status. May be called while others wait for theirs.
  // Cancellable. Errors of severity `retry`: http.resolve, http.connect, http.tls, http.proxy, http.lost (it may have
  // been carried out), http.timeout (likewise), http.answer (not HTTP, or too large); of severity `config`:
  // http.certificate, http.proxy (which wants a password), http.unknown_host (for half a minute, and never reached
  // before).
  asio::awaitable<result<response>> send(request what);
  // Closes the connections that nobody uses.
  void drop_idle();

  [[nodiscard]] url const& server() const { return server_; }

 private:
  client(asio::any_io_executor home, client_options options, url server, std::optional<url> proxy,
         std::unique_ptr<tls_settings> tls);
  [[nodiscard]] std::unique_ptr<connection> take_idle();
  asio::awaitable<result<std::unique_ptr<connection>>> connect();
  asio::awaitable<result<response>> exchange(request const& what);

  asio::any_io_executor home_;
  client_options options_;
  url server_;
  std::optional<url> proxy_;
  std::unique_ptr<tls_settings> tls_;
  std::vector<std::unique_ptr<connection>> idle_;  // the one used last is at the end
  runtime::event freed_;
  std::size_t busy_ = 0;
  bool reached_ = false;
};

}  // namespace etl::http
