#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <mutex>

#include "http/client.hpp"
#include "support/http_server.hpp"
#include "support/run_coro.hpp"
#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
namespace http = etl::http;
using namespace std::chrono_literals;
using etl::result;
using etl::severity;
using etl::test::http_server;
using etl::test::identity;
using etl::test::run_coro;
using ending = http_server::reply::ending;

namespace {

http::client_options options_for(std::string url, std::string ca_file = "") {
  http::client_options options;
  options.url = std::move(url);
  options.ca_file = std::move(ca_file);
  options.proxies = {};
  return options;
}

asio::awaitable<result<http::response>> send(http::client_options options, http::request what = {}) {
  auto client = http::client::make(co_await asio::this_coro::executor, std::move(options));
  if (!client) co_return etl::fail(std::move(client));
  co_return co_await (*client)->send(what);
}

void fails(asio::awaitable<result<http::response>> sending, std::string_view code, severity kind = severity::retry) {
  auto const answer = run_coro(std::move(sending));
  REQUIRE(!answer);
  CAPTURE(answer.error().to_text());
  CHECK(answer.error().code == code);
  CHECK(answer.error().kind == kind);
}

// A port that accepts connections (the kernel does) and never says anything.
struct deaf_server {
  asio::io_context context{1};
  asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};

  [[nodiscard]] std::string url(std::string const& scheme) const {
    return scheme + "://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  }
};

}  // namespace

TEST_CASE("certificates that are not to be trusted") {
  etl::test::temporary_directory const files;
  struct row {
    std::string names;
    long from, to;
    bool known;
    std::string_view code;
    severity kind;
  };
  for (auto const& expected : {
           row{"DNS:localhost", -60, 3600, false, "http.certificate", severity::config},
           row{"DNS:otherhost", -60, 3600, true, "http.certificate", severity::config},
           row{"IP:127.0.0.1", -60, 3600, true, "http.certificate", severity::config},
           row{"DNS:localhost", -3600, -60, true, "http.certificate", severity::retry},
           row{"DNS:localhost", 600, 3600, true, "http.certificate", severity::retry},
       }) {
    CAPTURE(expected.names, expected.from, expected.known);
    auto const server_identity = identity::make(expected.names, expected.from, expected.to);
    auto const other = identity::make("DNS:localhost");
    etl::test::write_file(files / "ca.pem", expected.known ? server_identity.authority : other.authority);
    http_server const server([](auto const&) { return http_server::reply{}; }, &server_identity);
    fails(send(options_for(server.url(), files / "ca.pem")), expected.code, expected.kind);
  }
}

TEST_CASE("a certificate for an address") {
  etl::test::temporary_directory const files;
  auto const server_identity = identity::make("IP:127.0.0.1");
  etl::test::write_file(files / "ca.pem", server_identity.authority);
  http_server const server([](auto const&) { return http_server::reply{}; }, &server_identity);
  CHECK(run_coro(send(options_for("https://127.0.0.1:" + std::to_string(server.port()), files / "ca.pem"))));
}

TEST_CASE("a file of authorities that is none") {
  etl::test::temporary_directory const files;
  etl::test::write_file(files / "ca.pem", "nothing");
  fails(send(options_for("https://localhost", files / "ca.pem")), "http.ca_file", severity::config);
  fails(send(options_for("https://localhost", files / "none.pem")), "http.ca_file", severity::config);
}

TEST_CASE("servers that break off, keep silent, or say too much") {
  struct row {
    http_server::reply reply;
    std::string_view code;
  };
  for (auto const& expected : {
           row{{200, "", {}, ending::cut}, "http.lost"},
           row{{200, "", {}, ending::silent}, "http.timeout"},
           row{{200, std::string(2000, 'x'), {}}, "http.answer"},
       }) {
    CAPTURE(expected.code);
    http_server const server([&](auto const&) { return expected.reply; });
    auto options = options_for(server.url());
    options.most_answer = 1000;
    http::request request;
    request.timeout = 200ms;
    fails(send(options, request), expected.code);
  }
}

TEST_CASE("a server that does not speak HTTP, and one that does not speak TLS") {
  deaf_server deaf;
  auto options = options_for(deaf.url("https"));
  options.connect_timeout = 200ms;
  fails(send(options), "http.tls");
  http_server const plain([](auto const&) { return http_server::reply{}; });
  fails(send(options_for("https://localhost:" + std::to_string(plain.port()))), "http.tls");
}

TEST_CASE("nobody there") {
  std::string url;
  {
    deaf_server const gone;
    url = gone.url("http");
  }
  fails(send(options_for(url)), "http.connect");
}

TEST_CASE("cancelled at every step, a request ends at once") {
  deaf_server deaf;
  etl::test::temporary_directory const files;
  http_server const silent([](auto const&) { return http_server::reply{200, "", {}, ending::silent}; });
  for (auto const& url : {deaf.url("https"), deaf.url("http"), silent.url()}) {
    asio::io_context context(1);
    asio::cancellation_signal stop;
    std::exception_ptr thrown;
    bool ended = false;
    asio::co_spawn(context, send(options_for(url)),
                   asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr failed, auto const&) {
                     thrown = failed;
                     ended = true;
                   }));
    asio::steady_timer soon(context, 50ms);
    soon.async_wait([&](auto) { stop.emit(asio::cancellation_type::terminal); });
    context.run_for(5s);
    REQUIRE(ended);
    CHECK_THROWS_AS(std::rethrow_exception(thrown), boost::system::system_error);
  }
}
