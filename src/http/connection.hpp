#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "http/message.hpp"
#include "http/tls.hpp"
#include "http/url.hpp"

namespace etl::http {

namespace asio = boost::asio;

// One connection to a server. One request at a time; after an error or a cancellation only destruction is allowed.
class connection {
 public:
  // Through `proxy`, when there is one, by CONNECT. `tls` is for secure servers (null for others), and must outlive the
  // connection. Errors as client::send().
  [[nodiscard]] static asio::awaitable<result<std::unique_ptr<connection>>> open(
      url const& server, std::optional<url> const& proxy, tls_settings* tls, std::chrono::steady_clock::duration limit);

  // `authority` goes into the Host header. An answer larger than `most_answer` is an error.
  asio::awaitable<result<response>> exchange(request const& what, std::string const& authority,
                                             std::size_t most_answer);
  // Whether exchange() has had any byte of the last answer.
  [[nodiscard]] bool answer_began() const { return answer_began_; }
  // Both sides want to go on, and the server has neither closed the connection nor said anything unasked.
  [[nodiscard]] bool reusable();
  [[nodiscard]] std::chrono::steady_clock::time_point last_used() const { return last_used_; }

 private:
  explicit connection(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  asio::awaitable<result<void>> pass_proxy(url const& server, url const& proxy);
  asio::awaitable<result<void>> shake_hands(std::string const& host, tls_settings& tls);
  asio::awaitable<result<void>> secure(url const& server, std::optional<url> const& proxy, tls_settings* tls);
  template <class Stream>
  asio::awaitable<result<response>> talk(Stream& stream, request const& what, std::string const& authority,
                                         std::size_t most_answer);

  asio::ip::tcp::socket socket_;
  std::unique_ptr<tls_stream> tls_;  // null: without TLS
  boost::beast::flat_buffer received_;
  std::chrono::steady_clock::time_point last_used_ = std::chrono::steady_clock::now();
  bool keeps_ = true;
  bool answer_began_ = false;
};

}  // namespace etl::http
