#include "support/http_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace etl::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

// Accepts, and gives each connection a thread; ends them all.
class listener {
 public:
  using serve = std::function<void(tcp::socket, unsigned)>;

  explicit listener(serve what)
      : serve_(std::move(what)), acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    thread_ = std::thread([this] { accept(); });
  }
  ~listener() { end(); }

  // Waits for the threads, which may use the listener until they have ended.
  void end() {
    if (!thread_.joinable()) return;
    ending_ = true;
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    disconnect();
    thread_.join();
    for (auto& one : threads_) one.join();
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] unsigned accepted() const { return accepted_; }
  [[nodiscard]] bool ending() const { return ending_; }

  void disconnect() {
    std::lock_guard const lock(mutex_);
    for (int const socket : open_) ::shutdown(socket, SHUT_RDWR);
    changed_.notify_all();
  }
  // A socket that disconnect() has to end, too.
  void add(int socket) {
    std::lock_guard const lock(mutex_);
    open_.insert(socket);
    if (ending_) ::shutdown(socket, SHUT_RDWR);
  }
  void remove(int socket) {
    std::lock_guard const lock(mutex_);
    open_.erase(socket);
  }
  void wait_for_end() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ending_.load(); });
  }

 private:
  void accept() {
    for (;;) {
      tcp::socket socket(context_);
      error_code failed;
      acceptor_.accept(socket, failed);
      if (ending_ || failed) return;
      int const number = socket.native_handle();
      add(number);
      threads_.emplace_back([this, count = ++accepted_, number, mine = std::move(socket)]() mutable {
        serve_(std::move(mine), count);
        remove(number);
      });
    }
  }

  serve serve_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  std::thread thread_;
  std::vector<std::thread> threads_;
  std::atomic<unsigned> accepted_ = 0;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<int> open_;
};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

}  // namespace

struct http_server::inside {
  inside(handler answer, identity const* with_tls) : answer_(std::move(answer)) {
    if (with_tls != nullptr) {
      tls_ = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
      tls_->use_certificate_chain(asio::buffer(with_tls->certificate));
      tls_->use_private_key(asio::buffer(with_tls->key), asio::ssl::context::pem);
    }
    listener_ =
        std::make_unique<listener>([this](tcp::socket socket, unsigned count) { serve(std::move(socket), count); });
  }
  // Before what the threads use.
  ~inside() { listener_->end(); }

  void serve(tcp::socket socket, unsigned count) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    if (!tls_) {
      talk(socket, socket, count);
      return;
    }
    asio::ssl::stream<tcp::socket&> stream(socket, *tls_);
    error_code failed;
    stream.handshake(asio::ssl::stream_base::server, failed);
    if (!failed) talk(stream, socket, count);
  }

  template <class Stream>
  void talk(Stream& stream, tcp::socket& socket, unsigned count) {
    boost::beast::flat_buffer buffer;
    for (;;) {
      beast::request_parser<beast::string_body> parser;
      parser.body_limit(std::uint64_t{1} << 30);
      error_code failed;
      beast::read(stream, buffer, parser, failed);
      if (failed) return;
      auto message = parser.release();
      http_server::request asked{std::string(message.method_string()), std::string(message.target()), {}, {}, count};
      for (auto const& field : message)
        asked.headers[lower(std::string_view(field.name_string().data(), field.name_string().size()))] =
            std::string(field.value());
      asked.body = std::move(message.body());
      auto const reply = answer_(asked);
      using ending = http_server::reply::ending;
      if (reply.how == ending::silent) return listener_->wait_for_end();
      if (reply.how == ending::cut) break;
      beast::response<beast::string_body> answer(static_cast<beast::status>(reply.status), 11);
      for (auto const& [name, value] : reply.headers) answer.set(name, value);
      answer.keep_alive(reply.how == ending::keep);
      answer.body() = reply.body;
      answer.prepare_payload();
      beast::write(stream, answer, failed);
      if (failed || reply.how == ending::close) break;
    }
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_both, ignored);
  }

  handler answer_;
  std::unique_ptr<asio::ssl::context> tls_;
  std::unique_ptr<listener> listener_;
};

http_server::http_server(handler answer, identity const* with_tls)
    : inside_(std::make_unique<inside>(std::move(answer), with_tls)) {}
http_server::~http_server() = default;
std::uint16_t http_server::port() const { return inside_->listener_->port(); }
std::string http_server::url() const {
  return fmt::format("{}://localhost:{}", inside_->tls_ ? "https" : "http", port());
}
unsigned http_server::connections() const { return inside_->listener_->accepted(); }
void http_server::disconnect() { inside_->listener_->disconnect(); }

struct connect_proxy::inside {
  explicit inside(std::string authorization) : authorization_(std::move(authorization)) {
    listener_ = std::make_unique<listener>([this](tcp::socket socket, unsigned) { serve(std::move(socket)); });
  }
  ~inside() { listener_->end(); }

  static void pump(tcp::socket& from, tcp::socket& to) {
    std::vector<char> bytes(64 << 10);
    error_code failed;
    while (!failed) {
      auto const size = from.read_some(asio::buffer(bytes), failed);
      if (!failed) asio::write(to, asio::buffer(bytes.data(), size), failed);
    }
    error_code ignored;
    to.shutdown(tcp::socket::shutdown_both, ignored);
    from.shutdown(tcp::socket::shutdown_both, ignored);
  }

  void serve(tcp::socket client) {
    boost::beast::flat_buffer buffer;
    beast::request_parser<beast::empty_body> parser;
    error_code failed;
    beast::read_header(client, buffer, parser, failed);
    if (failed) return;
    auto const& wish = parser.get();
    if (wish[beast::field::proxy_authorization] != authorization_) {
      asio::write(client, asio::buffer(std::string("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")), failed);
      return;
    }
    std::string const target(wish.target());
    {
      std::lock_guard const lock(mutex_);
      last_target_ = target;
    }
    auto const colon = target.rfind(':');
    asio::io_context context(1);
    tcp::resolver resolver(context);
    tcp::socket server(context);
    auto const found = resolver.resolve(tcp::v4(), target.substr(0, colon), target.substr(colon + 1), failed);
    if (!failed) server.connect(*found.begin(), failed);
    if (failed) return;
    listener_->add(server.native_handle());
    asio::write(client, asio::buffer(std::string("HTTP/1.1 200 Connection established\r\n\r\n")), failed);
    std::thread back([&] { pump(server, client); });
    pump(client, server);
    back.join();
    listener_->remove(server.native_handle());
  }

  std::string authorization_;
  mutable std::mutex mutex_;
  std::string last_target_;
  std::unique_ptr<listener> listener_;
};

connect_proxy::connect_proxy(std::string authorization) : inside_(std::make_unique<inside>(std::move(authorization))) {}
connect_proxy::~connect_proxy() = default;
std::uint16_t connect_proxy::port() const { return inside_->listener_->port(); }
std::string connect_proxy::last_target() const {
  std::lock_guard const lock(inside_->mutex_);
  return inside_->last_target_;
}

}  // namespace etl::test
