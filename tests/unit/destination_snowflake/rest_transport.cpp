#include "destination/snowflake/rest_transport.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <catch2/catch.hpp>
#include <deque>

#include "support/run_coro.hpp"
#include "support/show_result.hpp"

using namespace etl;
using etl::test::run_coro;
using namespace etl::destination::snowflake;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view opened =
    R"({"next_continuation_token":"c 0","channel_status":{"channel_status_code":"SUCCESS",)"
    R"("last_committed_offset_token":null,"rows_inserted":3,"rows_error_count":0}})";

std::string unpacked(std::string_view packed) {
  std::string text(ZSTD_getFrameContentSize(packed.data(), packed.size()), '\0');
  auto const size = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
  REQUIRE(ZSTD_isError(size) == 0);
  return text;
}

// Answers as it was told, and remembers what it was asked.
struct service {
  struct asked {
    std::string method, target, body;
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
  };
  std::deque<result<http::response>> answers;
  std::vector<asked> requests;

  void will(unsigned status, std::string_view body) {
    answers.emplace_back(http::response{status, {}, std::string(body)});
  }
  void will_refuse(unsigned status, std::string_view code) {
    will(status, fmt::format(R"({{"code":"{}","message":"a value"}})", code));
  }
  void will_lose_the_answer() { answers.emplace_back(error{severity::retry, "http.lost", "lost"}); }
  void will_go_on_as(std::string_view token) { will(200, fmt::format(R"({{"next_continuation_token":"{}"}})", token)); }

  rest_transport transport() {
    return rest_transport({.send = [this](http::request what) -> asio::awaitable<result<http::response>> {
                             requests.push_back({what.method, what.target, std::string(what.body)});
                             auto answer = std::move(answers.front());
                             answers.pop_front();
                             co_return answer;
                           },
                           .database = "SHOP DB",
                           .schema = "ETL",
                           .position_offset = 6,
                           .retry_for = 2s,
                           .commit_for = 2s});
  }
};

std::string line(std::uint64_t ordinal, std::string_view text = "") {
  return fmt::format("{{\"p\":\"{}\",\"t\":\"{}\"}}\n", position{lsn{1}, ordinal}.to_text(), text);
}

// Text that does not compress to less than half.
std::string noise(std::size_t size) {
  std::minstd_rand random(7);
  std::string text;
  while (text.size() < size) text += static_cast<char>('0' + random() % 75);
  std::erase(text, '\\');
  return text;
}

std::string code_of(result<void> const& outcome) { return outcome ? "" : std::string(outcome.error().code); }

result<void> append(rest_transport& to, std::string const& rows, std::uint64_t last) {
  return run_coro(to.append("CHANNEL", rows, 1, {lsn{1}, 0}, {lsn{1}, last}));
}

result<channel_status> open(rest_transport& at) { return run_coro(at.open("T\"X", "CHANNEL")); }

}  // namespace

TEST_CASE("a channel is opened without giving up rows under way, and its status read") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  auto const status = open(transport);
  REQUIRE(status);
  CHECK(status->inserted == 3);
  CHECK(status->committed.empty());
  CHECK(status->valid);
  CHECK(there.requests[0].method == "PUT");
  CHECK(there.requests[0].target ==
        "/v2/streaming/databases/SHOP%20DB/schemas/ETL/pipes/T%22X-STREAMING/channels/CHANNEL");
  CHECK(there.requests[0].body == R"({"fail_on_uncommitted_rows":true})");
}

TEST_CASE("opening waits until the rows of an earlier session are committed, but not for ever") {
  service there;
  auto transport = there.transport();
  there.will_refuse(409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA");
  there.will(200, opened);
  CHECK(open(transport));
  for (int i = 0; i < 100; ++i) there.will_refuse(409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA");
  auto const status = open(transport);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == "snowflake.uncommitted_rows");
}

TEST_CASE("rows go out compressed, with the continuation token of the answer before") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  there.will_go_on_as("c/1");
  there.will_go_on_as("c2");
  REQUIRE(open(transport));
  CHECK(append(transport, line(4) + line(6), 6));
  CHECK(append(transport, line(8), 8));
  auto const channel = "/v2/streaming/data/databases/SHOP%20DB/schemas/ETL/pipes/T%22X-STREAMING/channels/CHANNEL";
  CHECK(there.requests[1].target ==
        fmt::format("{}/rows?continuationToken=c%200&offsetToken={}", channel, position{lsn{1}, 6}.to_text()));
  CHECK(there.requests[2].target ==
        fmt::format("{}/rows?continuationToken=c%2F1&offsetToken={}", channel, position{lsn{1}, 8}.to_text()));
  CHECK(unpacked(there.requests[1].body) == line(4) + line(6));
}

TEST_CASE("a channel gets ten requests a second at most") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  REQUIRE(open(transport));
  for (std::uint64_t i = 1; i <= 4; ++i) {
    there.will_go_on_as("c");
    REQUIRE(append(transport, line(i), i));
  }
  REQUIRE(there.requests.size() == 5);
  CHECK(there.requests[4].at - there.requests[1].at >= 300ms);
}

TEST_CASE("a request whose answer got lost is sent again as it was") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  there.will_lose_the_answer();
  there.will_refuse(503, "");
  there.will_refuse(429, "");
  there.will_go_on_as("c1");
  REQUIRE(open(transport));
  CHECK(append(transport, line(4), 4));
  REQUIRE(there.requests.size() == 5);
  for (std::size_t i = 2; i < 5; ++i) {
    CHECK(there.requests[i].target == there.requests[1].target);
    CHECK(there.requests[i].body == there.requests[1].body);
  }
}

TEST_CASE("trying again has an end") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  for (int i = 0; i < 100; ++i) there.will_refuse(503, "");
  REQUIRE(open(transport));
  CHECK(code_of(append(transport, line(4), 4)) == "snowflake.unavailable");
}

TEST_CASE("what is too large for a request is cut between rows, each part with its last row's offset") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  REQUIRE(open(transport));
  auto const text = noise(3'000'000);
  std::string rows;
  for (std::uint64_t ordinal = 2; ordinal <= 8; ordinal += 2) rows += line(ordinal, text);
  for (int i = 0; i < 8; ++i) there.will_go_on_as(fmt::format("c{}", i + 1));
  CHECK(append(transport, rows, 8));
  std::string arrived;
  for (std::size_t i = 1; i < there.requests.size(); ++i) {
    auto const& request = there.requests[i];
    CHECK(request.body.size() <= 4'000'000);
    auto const part = unpacked(request.body);
    CHECK(part.ends_with("\n"));
    auto const last = part.substr(part.rfind('\n', part.size() - 2) + 1, 40);
    CHECK(request.target.ends_with("offsetToken=" + last.substr(6, 32)));
    arrived += part;
  }
  CHECK(there.requests.size() > 2);
  CHECK(arrived == rows);
}

TEST_CASE("a request that is too large for somebody on the way is cut in halves") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  REQUIRE(open(transport));
  auto const rows = line(2) + line(4) + line(6) + line(8);
  there.will(413, "<html>");
  there.will_go_on_as("c1");
  there.will_go_on_as("c2");
  CHECK(append(transport, rows, 8));
  REQUIRE(there.requests.size() == 4);
  CHECK(unpacked(there.requests[2].body) + unpacked(there.requests[3].body) == rows);
  CHECK(there.requests[2].target.ends_with("offsetToken=" + position{lsn{1}, 4}.to_text()));
  CHECK(there.requests[3].target.ends_with("offsetToken=" + position{lsn{1}, 8}.to_text()));

  there.will(413, "<html>");
  CHECK(code_of(append(transport, line(10), 10)) == "snowflake.row_too_large");
}

TEST_CASE("a row that no request can hold is refused by its position") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  REQUIRE(open(transport));
  auto const refused = append(transport, line(4, noise(6'000'000)), 4);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "snowflake.row_too_large");
  CHECK(refused.error().message.find(position{lsn{1}, 4}.to_text()) != std::string::npos);
}

TEST_CASE("codes that end a channel's session are told apart, and what the service says stays out of the message") {
  struct row {
    unsigned status;
    std::string_view code, becomes;
  };
  auto const& [status, code, becomes] = GENERATE(values<row>({
      {400, "STALE_CONTINUATION_TOKEN_SEQUENCER", "snowflake.fenced"},
      {400, "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER", "snowflake.fenced"},
      {400, "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER", "snowflake.channel_invalid"},
      {409, "ERR_CHANNEL_MUST_BE_REOPENED", "snowflake.channel_invalid"},
      {404, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", "snowflake.channel_invalid"},
      {400, "ERR_SOMETHING_ELSE", "snowflake.request"},
  }));
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  there.will_refuse(status, code);
  REQUIRE(open(transport));
  auto const refused = append(transport, line(4), 4);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == becomes);
  CHECK(refused.error().message.find("a value") == std::string::npos);
}

TEST_CASE("a channel that the service does not know has to be opened again") {
  service there;
  auto transport = there.transport();
  there.will(200, opened);
  there.will(200, R"({"channel_statuses":{}})");
  there.will(200, R"({"channel_statuses":{"CHANNEL":{"channel_status_code":"ERR_CHANNEL_MUST_BE_REOPENED"}}})");
  REQUIRE(open(transport));
  for (int i = 0; i < 2; ++i) {
    auto const told = run_coro(transport.status({"CHANNEL"}));
    REQUIRE(told);
    CHECK_FALSE(told->at(0).valid);
  }
}
