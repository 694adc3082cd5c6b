#include "http/client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <mutex>

#include "runtime/task_group.hpp"
#include "support/http_server.hpp"
#include "support/run_coro.hpp"
#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
namespace http = etl::http;
using namespace std::chrono_literals;
using etl::result;
using etl::test::connect_proxy;
using etl::test::http_server;
using etl::test::identity;
using etl::test::run_coro;

namespace {

http::client_options options_for(std::string url, std::string ca_file = "") {
  http::client_options options;
  options.url = std::move(url);
  options.ca_file = std::move(ca_file);
  options.proxies = {};
  return options;
}

using responses = std::vector<result<http::response>>;

// One after another, by one client.
asio::awaitable<responses> send_all(http::client_options options, std::vector<http::request> requests) {
  auto client = http::client::make(co_await asio::this_coro::executor, std::move(options));
  responses answers;
  if (!client) {
    answers.emplace_back(etl::fail(std::move(client)));
    co_return answers;
  }
  for (auto const& one : requests) answers.push_back(co_await (*client)->send(one));
  co_return answers;
}

result<http::response> send(http::client_options options, http::request what = {}) {
  return run_coro(send_all(std::move(options), {std::move(what)})).front();
}

http_server::reply echo(http_server::request const& asked) {
  return {201, asked.method + " " + asked.target + " " + asked.headers.at("x-a") + " " + asked.body, {{"X-B", "b"}}};
}

}  // namespace

TEST_CASE("a request arrives as it was sent, and so does the answer") {
  etl::test::temporary_directory const files;
  auto const server_identity = identity::make("DNS:localhost");
  etl::test::write_file(files / "ca.pem", server_identity.authority);
  http_server const plain(echo);
  http_server const secure(echo, &server_identity);
  std::string const large(3'000'000, 'x');
  for (auto const* server : {&plain, &secure}) {
    for (std::string const& body : {std::string(), std::string("body"), large}) {
      http::request request;
      request.method = "PUT";
      request.target = "/a?b=c";
      request.headers = {{"X-A", "a"}};
      request.body = body;
      auto const answer = send(options_for(server->url(), files / "ca.pem"), request);
      REQUIRE(answer);
      CHECK(answer->status == 201);
      CHECK(answer->header("x-b") == "b");
      CHECK(answer->header("x-c") == "");
      CHECK(answer->body == "PUT /a?b=c a " + body);
    }
  }
}

TEST_CASE("connections are kept, and replaced when the server has closed them") {
  http_server server([](auto const& asked) { return http_server::reply{200, std::to_string(asked.connection)}; });
  run_coro([](http_server& with) -> asio::awaitable<void> {
    auto client = http::client::make(co_await asio::this_coro::executor, options_for(with.url()));
    std::string seen;
    for (int i = 0; i < 4; ++i) {
      if (i == 2) with.disconnect();
      auto answer = co_await (*client)->send({});
      seen += answer ? answer->body : std::string(answer.error().code);
    }
    CHECK(seen == "1122");
  }(server));
}

TEST_CASE("a connection that the server wants to close is not used again") {
  http_server const server([](auto const& asked) {
    return http_server::reply{200, std::to_string(asked.connection), {}, http_server::reply::ending::close};
  });
  auto const answers = run_coro(send_all(options_for(server.url()), {{}, {}}));
  CHECK(answers[0].value().body == "1");
  CHECK(answers[1].value().body == "2");
}

TEST_CASE("a repeatable request is sent again when a kept connection was dead, another one is not") {
  // Every second request of a connection gets no answer: as if the server had closed it just then.
  for (bool const repeatable : {true, false}) {
    std::mutex mutex;
    std::map<unsigned, int> requests;
    http_server const server([&](auto const& asked) {
      std::lock_guard const lock(mutex);
      bool const second = ++requests[asked.connection] == 2;
      return http_server::reply{
          200, "", {}, second ? http_server::reply::ending::cut : http_server::reply::ending::keep};
    });
    http::request request;
    request.repeatable = repeatable;
    auto const answers = run_coro(send_all(options_for(server.url()), {request, request}));
    CHECK(answers[0]);
    if (repeatable) {
      CHECK(answers[1]);
      CHECK(server.connections() == 2);
    } else {
      REQUIRE(!answers[1]);
      CHECK(answers[1].error().code == "http.lost");
    }
  }
}

TEST_CASE("many requests share as many connections as are allowed") {
  http_server const server([](auto const& asked) { return http_server::reply{200, asked.target}; });
  auto const right = run_coro([](http_server const& with) -> asio::awaitable<int> {
    auto const executor = co_await asio::this_coro::executor;
    auto options = options_for(with.url());
    options.connections = 3;
    auto client = http::client::make(executor, options);
    int found = 0;
    etl::runtime::task_group group(executor);
    auto const ask = [](http::client& from, int number, int& count) -> asio::awaitable<result<void>> {
      http::request request;
      request.target = "/" + std::to_string(number);
      auto answer = co_await from.send(request);
      if (!answer) co_return etl::fail(std::move(answer));
      if (answer->body == request.target) ++count;
      co_return result<void>();
    };
    for (int i = 0; i < 40; ++i) group.spawn(ask(**client, i, found), "ask");
    auto const outcome = co_await group.join();
    CHECK(outcome);
    co_return found;
  }(server));
  CHECK(right == 40);
  CHECK(server.connections() == 3);
}

TEST_CASE("through a proxy, with its password") {
  etl::test::temporary_directory const files;
  auto const server_identity = identity::make("DNS:localhost");
  etl::test::write_file(files / "ca.pem", server_identity.authority);
  http_server const server([](auto const&) { return http_server::reply{200, "through"}; }, &server_identity);
  connect_proxy const proxy("Basic bWU6cEBzcw==");  // me:p@ss
  auto options = options_for(server.url(), files / "ca.pem");

  options.proxies.https_proxy = "http://me:p%40ss@127.0.0.1:" + std::to_string(proxy.port());
  auto const answer = send(options);
  REQUIRE(answer);
  CHECK(answer->body == "through");
  CHECK(proxy.last_target() == "localhost:" + std::to_string(server.port()));

  options.proxies.https_proxy = "http://127.0.0.1:" + std::to_string(proxy.port());
  auto const refused = send(options);
  REQUIRE(!refused);
  CHECK(refused.error().code == "http.proxy");
  CHECK(refused.error().kind == etl::severity::config);
}
