#include "destination/snowflake/account.hpp"

#include <catch2/catch.hpp>

#include "runtime/task_group.hpp"
#include "service.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using etl::result;
using etl::destination::snowflake::account;
using etl::test::http_server;
using etl::test::options_for;
using etl::test::service;
using etl::test::with_account;
using reply = http_server::reply;
using response = etl::http::response;

namespace {

// Gives tokens t1, t2, … and takes the newest alone.
struct front {
  bool documented = false;
  int tokens = 0;
  std::string host;

  reply operator()(http_server::request const& asked) {
    auto const& authorization = asked.headers.at(asked.headers.contains("authorization") ? "authorization" : "host");
    if (asked.target == "/v2/streaming/hostname") {
      return {200, documented ? "{\"hostname\":\"" + host + "\"}" : host};
    }
    if (asked.target == "/oauth/token") {
      auto const token = "t" + std::to_string(++tokens);
      return {200, documented ? "{\"token\":\"" + token + "\"}" : token + "\n"};
    }
    return authorization == "Bearer t" + std::to_string(tokens) ? reply{200, "rows"} : reply{401, "{}"};
  }
};

asio::awaitable<result<response>> send_rows(std::shared_ptr<account> const& to) {
  etl::http::request question;
  question.method = "POST";
  question.target = "/rows";
  co_return co_await to->send_ingest(question);
}

}  // namespace

TEST_CASE("public addresses") {
  using etl::destination::snowflake::public_address;
  CHECK(public_address("MyOrg-My_Account") == "https://myorg-my-account.snowflakecomputing.com");
  CHECK(public_address("xy12345.us-east-2.aws") == "https://xy12345.us-east-2.aws.snowflakecomputing.com");
}

TEST_CASE("host and token are asked for once, in either form of answer") {
  for (bool const documented : {false, true}) {
    front answers{documented};
    service server([&](auto const& asked) { return answers(asked); });
    answers.host = documented ? "localhost" : server.host();
    auto const ok = with_account<bool>(options_for(server.url()), [](auto to) -> asio::awaitable<bool> {
      bool all = true;
      etl::runtime::task_group group(co_await asio::this_coro::executor);
      auto const one = [](std::shared_ptr<account> who, bool& fine) -> asio::awaitable<result<void>> {
        auto answer = co_await send_rows(who);
        fine = fine && answer && answer->status == 200;
        co_return result<void>();
      };
      for (int i = 0; i < 5; ++i) group.spawn(one(to, all), "rows");
      auto const joined = co_await group.join();
      co_return joined&& all;
    });
    CHECK(ok);
    CHECK(server.count("/v2/streaming/hostname") == 1);
    CHECK(server.count("/oauth/token") == 1);
    CHECK(server.seen()[1].body.find("scope=localhost%3A") != std::string::npos);
  }
}

TEST_CASE("a token that is refused is replaced once") {
  front answers;
  service server([&](auto const& asked) { return answers(asked); });
  answers.host = server.host();
  auto const status = with_account<unsigned>(options_for(server.url()), [&](auto to) -> asio::awaitable<unsigned> {
    (co_await send_rows(to)).value();
    ++answers.tokens;  // the service has forgotten the token
    co_return (co_await send_rows(to)).value().status;
  });
  CHECK(status == 200);
  CHECK(server.count("/oauth/token") == 2);
}

TEST_CASE("a token is renewed before it ends") {
  front answers;
  service server([&](auto const& asked) { return answers(asked); });
  answers.host = server.host();
  auto options = options_for(server.url());
  auto clock = std::chrono::system_clock::now();
  options.now = [&clock] { return clock; };
  with_account<bool>(options, [&](auto to) -> asio::awaitable<bool> {
    (co_await send_rows(to)).value();
    clock += 530s;
    (co_await send_rows(to)).value();
    CHECK(server.count("/oauth/token") == 1);
    clock += 20s;
    (co_await send_rows(to)).value();
    CHECK(server.count("/oauth/token") == 2);
    co_return true;
  });
}

TEST_CASE("who is not let in is told what to compare") {
  service const server(
      [](auto const&) { return reply{401, R"({"code":"390144","message":"JWT token is invalid."})"}; });
  auto const answer = with_account<result<response>>(
      options_for(server.url()), [](auto to) -> asio::awaitable<result<response>> { co_return co_await to->send({}); });
  REQUIRE(!answer);
  CHECK(answer.error().code == "snowflake.authentication");
  CHECK(answer.error().kind == etl::severity::config);
  CHECK(answer.error().hint.find("SHA256:") != std::string::npos);
  CHECK(server.seen().size() == 2);
}
