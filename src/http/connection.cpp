#include "http/connection.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "http/base64.hpp"
#include "http/dial.hpp"
#include "runtime/deadline.hpp"

namespace etl::http {
namespace {

namespace beast = boost::beast::http;
using std::chrono::steady_clock;
constexpr auto token = asio::as_tuple(asio::use_awaitable);
constexpr unsigned http_1_1 = 11;
constexpr std::uint32_t most_header = 64 << 10;
constexpr char const* user_agent = "etl-stream";

error lost(std::string const& who, std::string_view doing, boost::system::error_code failed) {
  return {severity::retry, "http.lost",
          fmt::format("the connection to {} broke while {}: {}", who, doing, failed.message())};
}

template <class Fields>
response to_response(beast::response<beast::string_body, Fields>&& from) {
  response answer;
  answer.status = from.result_int();
  for (auto const& field : from)
    answer.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  answer.body = std::move(from.body());
  return answer;
}

}  // namespace

asio::awaitable<result<std::unique_ptr<connection>>> connection::open(url const& server,
                                                                      std::optional<url> const& proxy,
                                                                      tls_settings* tls, steady_clock::duration limit) {
  auto const until = steady_clock::now() + limit;
  auto const& first = proxy ? *proxy : server;
  auto socket = co_await dial(first.host, first.port, limit);
  if (!socket) co_return fail(std::move(socket));
  std::unique_ptr<connection> made(new connection(std::move(socket).value()));
  error const too_late{severity::retry, server.secure ? "http.tls" : "http.connect",
                       fmt::format("{} did not finish the handshake in time", first.address())};
  auto secured =
      co_await runtime::with_deadline(made->secure(server, proxy, tls), until - steady_clock::now(), too_late);
  if (!secured) co_return fail(std::move(secured));
  co_return std::move(made);
}

asio::awaitable<result<void>> connection::secure(url const& server, std::optional<url> const& proxy,
                                                 tls_settings* tls) {
  if (proxy) {
    if (auto passed = co_await pass_proxy(server, *proxy); !passed) co_return fail(std::move(passed));
  }
  if (!server.secure) co_return result<void>();
  co_return co_await shake_hands(server.host, *tls);
}

// RFC 9110, section 9.3.6.
asio::awaitable<result<void>> connection::pass_proxy(url const& server, url const& proxy) {
  beast::request<beast::empty_body> wish(beast::verb::connect, server.address(), http_1_1);
  wish.set(beast::field::host, server.address());
  wish.set(beast::field::user_agent, user_agent);
  if (!proxy.user_info.empty()) {
    wish.set(beast::field::proxy_authorization, "Basic " + base64(percent_decode(proxy.user_info)));
  }
  auto const [not_sent, sent] = co_await beast::async_write(socket_, wish, token);
  throw_if_cancelled(not_sent);
  if (not_sent) co_return lost(proxy.address(), "asking the proxy", not_sent);
  beast::response_parser<beast::empty_body> parser;
  parser.header_limit(most_header);
  parser.skip(true);
  auto const [not_read, read] = co_await beast::async_read_header(socket_, received_, parser, token);
  throw_if_cancelled(not_read);
  if (not_read) co_return lost(proxy.address(), "waiting for the proxy", not_read);
  auto const status = parser.get().result_int();
  if (status / 100 == 2) co_return result<void>();
  bool const wants_password = status == 407;
  co_return error{
      wants_password ? severity::config : severity::retry, "http.proxy",
      fmt::format("the proxy {} refuses a connection to {} with status {}", proxy.address(), server.address(), status),
      wants_password ? "Write user and password into HTTPS_PROXY: http://user:password@host:port." : ""};
}

asio::awaitable<result<void>> connection::shake_hands(std::string const& host, tls_settings& tls) {
  tls_ = tls.over(socket_, host);
  auto const [failed] = co_await tls_->async_handshake(asio::ssl::stream_base::client, token);
  throw_if_cancelled(failed);
  if (failed) co_return handshake_error(*tls_, failed, host);
  co_return result<void>();
}

asio::awaitable<result<response>> connection::exchange(request const& what, std::string const& authority,
                                                       std::size_t most_answer) {
  error const too_late{
      severity::retry, "http.timeout",
      fmt::format("{} did not answer within {:g} s", authority, std::chrono::duration<double>(what.timeout).count())};
  answer_began_ = false;
  auto answer = tls_ ? talk(*tls_, what, authority, most_answer) : talk(socket_, what, authority, most_answer);
  co_return co_await runtime::with_deadline(std::move(answer), what.timeout, too_late);
}

template <class Stream>
asio::awaitable<result<response>> connection::talk(Stream& stream, request const& what, std::string const& authority,
                                                   std::size_t most_answer) {
  beast::request<beast::span_body<char const>> message;
  message.version(http_1_1);
  message.method_string(what.method);
  message.target(what.target);
  message.set(beast::field::host, authority);
  message.set(beast::field::user_agent, user_agent);
  for (auto const& [name, value] : what.headers) message.set(name, value);
  message.body() = {what.body.data(), what.body.size()};
  message.prepare_payload();
  auto const [not_sent, sent] = co_await beast::async_write(stream, message, token);
  throw_if_cancelled(not_sent);

  // Also when it could not all be sent: a server that refuses a body says so before it has read it.
  beast::response_parser<beast::string_body> parser;
  parser.header_limit(most_header);
  parser.body_limit(most_answer);
  parser.skip(what.method == "HEAD");
  auto const [not_read, read] = co_await beast::async_read(stream, received_, parser, token);
  throw_if_cancelled(not_read);
  answer_began_ = parser.got_some();
  last_used_ = steady_clock::now();
  keeps_ = !not_sent && !not_read && parser.get().keep_alive();
  if (!not_read) co_return to_response(parser.release());
  if (not_sent) co_return lost(authority, "sending the request", not_sent);
  if (not_read == beast::error::body_limit) {
    co_return error{severity::retry, "http.answer",
                    fmt::format("{} answers with more than {} bytes", authority, most_answer)};
  }
  bool const not_http = not_read.category() == beast::make_error_code(beast::error::bad_version).category() &&
                        not_read != beast::error::end_of_stream && not_read != beast::error::partial_message;
  if (not_http) {
    co_return error{severity::retry, "http.answer",
                    fmt::format("{} does not speak HTTP: {}", authority, not_read.message())};
  }
  co_return lost(authority, "waiting for the answer", not_read);
}

bool connection::reusable() {
  if (!keeps_ || received_.size() != 0) return false;
  char byte = 0;
  return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace etl::http
