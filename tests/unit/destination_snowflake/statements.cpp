#include "destination/snowflake/statements.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>

#include "service.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using etl::result;
using etl::severity;
using etl::destination::snowflake::account_options;
using etl::destination::snowflake::sql_rows;
using etl::destination::snowflake::statements;
using etl::test::http_server;
using etl::test::options_for;
using etl::test::service;
using etl::test::with_account;
using reply = http_server::reply;

namespace {

result<sql_rows> run(account_options options, std::chrono::milliseconds trying = 5s) {
  return with_account<result<sql_rows>>(std::move(options), [trying](auto to) -> asio::awaitable<result<sql_rows>> {
    auto const runner = statements::runner(to, {.trying = trying, .polling = 5ms});
    co_return co_await runner("SELECT 1");
  });
}

std::string request_id(http_server::request const& asked) {
  auto const at = asked.target.find("requestId=") + 10;
  return asked.target.substr(at, 36);
}

constexpr auto done = R"({"data":[["1",null],["2","b"]],"statementHandle":"h"})";

}  // namespace

TEST_CASE("rows are texts, and nothing for NULL") {
  service const server([](auto const&) { return reply{200, done}; });
  auto options = options_for(server.url());
  options.role = "R";
  options.warehouse = "W";
  auto const rows = run(options);
  REQUIRE(rows);
  CHECK(*rows == sql_rows{{"1", std::nullopt}, {"2", "b"}});
  auto const body = boost::json::parse(server.seen().front().body);
  CHECK(body.at("statement") == "SELECT 1");
  CHECK(body.at("role") == "R");
  CHECK(body.at("warehouse") == "W");
  CHECK(!body.as_object().contains("schema"));
}

TEST_CASE("a statement that takes longer is asked for until it ends") {
  int asked_for = 0;
  service const server([&](auto const& asked) {
    if (asked.method == "POST") return reply{202, R"({"statementHandle":"a b"})"};
    return ++asked_for < 3 ? reply{202, "{}"} : reply{200, done};
  });
  auto const rows = run(options_for(server.url()));
  REQUIRE(rows);
  CHECK(rows->size() == 2);
  CHECK(server.count("/api/v2/statements/a%20b") == 3);
}

TEST_CASE("what passes by itself is tried again with the same id") {
  for (unsigned const status : {408U, 429U, 500U, 503U, 0U}) {
    CAPTURE(status);
    int failures = 0;
    service const server([&](auto const&) {
      if (failures++ >= 2) return reply{200, done};
      return status == 0 ? reply{200, "", {}, reply::ending::cut} : reply{status, "{}"};
    });
    CHECK(run(options_for(server.url())));
    auto const seen = server.seen();
    REQUIRE(seen.size() >= 3);
    CHECK(request_id(seen.front()) == request_id(seen.back()));
    CHECK(seen.back().target.ends_with("&retry=true"));
  }
}

TEST_CASE("refusals have the service's SQLSTATE, and its words apart") {
  struct row {
    unsigned status;
    std::string_view body;
    std::string_view code, sqlstate;
    severity kind;
  };
  for (auto const& expected : {
           row{422, R"({"code":"002003","sqlState":"42S02","message":"'secret'"})", "snowflake.statement", "42S02",
               severity::config},
           row{422, R"({"code":"000604","sqlState":"57014","message":"'secret'"})", "snowflake.statement", "57014",
               severity::retry},
           row{400, "nonsense secret", "snowflake.statement", "", severity::config},
           row{503, R"({"message":"'secret'"})", "snowflake.unavailable", "", severity::retry},
       }) {
    CAPTURE(expected.body);
    service const server([&](auto const&) { return reply{expected.status, std::string(expected.body)}; });
    auto const rows = run(options_for(server.url()), 1ms);
    REQUIRE(!rows);
    CHECK(rows.error().code == expected.code);
    CHECK(rows.error().sqlstate == expected.sqlstate);
    CHECK(rows.error().kind == expected.kind);
    CHECK(rows.error().to_text().find("secret") == std::string::npos);
  }
}

TEST_CASE("a large result comes in parts") {
  service const server([](auto const& asked) {
    if (asked.method == "POST") {
      return reply{200, R"({"statementHandle":"h","resultSetMetaData":{"partitionInfo":[{},{}]},"data":[["1"]]})"};
    }
    return asked.target.ends_with("?partition=1") ? reply{200, R"({"data":[["2"]]})"} : reply{500, ""};
  });
  auto const rows = run(options_for(server.url()));
  REQUIRE(rows);
  CHECK(*rows == sql_rows{{"1"}, {"2"}});
}

TEST_CASE("answers that are none") {
  for (auto const* body : {"", "[]", R"({"data":{}})", R"({"data":[[1]]})"}) {
    service const server([&](auto const&) { return reply{200, body}; });
    auto const rows = run(options_for(server.url()));
    REQUIRE(!rows);
    CHECK(rows.error().code == "snowflake.answer");
  }
}
