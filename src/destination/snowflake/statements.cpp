#include "destination/snowflake/statements.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <random>

#include "destination/snowflake/retry_budget.hpp"
#include "http/url.hpp"

namespace etl::destination::snowflake {
namespace {

namespace json = boost::json;

// RFC 9562, version 4.
std::string new_request_id() {
  std::random_device random;
  std::array<std::uint32_t, 4> words;
  std::generate(words.begin(), words.end(), std::ref(random));
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:04x}{:08x}", words[0], words[1] >> 16, words[1] & 0xfff,
                     (words[2] >> 16 & 0x3fff) | 0x8000, words[2] & 0xffff, words[3]);
}

error unreadable(std::string_view why) {
  return {severity::retry, "snowflake.answer",
          fmt::format("Snowflake's answer to a statement cannot be read: {}", why)};
}

bool comes_and_goes(service_error const& said) {
  // 57014: cancelled or interrupted; class 40: rolled back. 000625: gave up a lock; 000603: internal; 390114: session.
  return said.sql_state == "57014" || said.sql_state.starts_with("40") || said.code == "000625" ||
         said.code == "000603" || said.code == "390114";
}

error refused(http::response const& answer) {
  auto said = read_service_error(answer.body);
  error failure{comes_and_goes(said) ? severity::retry : severity::config, "snowflake.statement",
                fmt::format("Snowflake refuses a statement (status {}{}{})", answer.status,
                            said.code.empty() ? "" : ", code ", said.code)};
  failure.hint =
      "QUERY_HISTORY shows the statement; role, warehouse, database and schema may lack or want a privilege.";
  failure.sqlstate = std::move(said.sql_state);
  failure.server_text = std::move(said.message);
  return failure;
}

json::object const* object_of(json::value const& parsed) { return parsed.is_object() ? &parsed.as_object() : nullptr; }

std::string text_at(json::object const& from, std::string_view name) {
  auto const* const found = from.if_contains({name.data(), name.size()});
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

bool append_rows(json::object const& from, sql_rows& to) {
  auto const* const data = from.if_contains("data");
  if (data == nullptr || data->is_null()) return true;
  if (!data->is_array()) return false;
  for (auto const& row : data->as_array()) {
    if (!row.is_array()) return false;
    auto& values = to.emplace_back();
    for (auto const& value : row.as_array()) {
      if (value.is_null()) {
        values.emplace_back();
      } else if (value.is_string()) {
        values.emplace_back(std::string(value.as_string()));
      } else {
        return false;
      }
    }
  }
  return true;
}

// Further parts of a large result come as gzip, whether asked for or not.
result<std::string> unpacked(http::response const& answer, std::size_t most) {
  if (answer.header("content-encoding") != "gzip") return answer.body;
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::bad_alloc();
  // zlib reads through a pointer to non-const, and leaves what is there alone.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(answer.body.data()));
  stream.avail_in = static_cast<uInt>(answer.body.size());
  std::string text;
  std::array<char, 64 << 10> piece;
  int outcome = Z_OK;
  while (outcome == Z_OK && text.size() <= most) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    outcome = inflate(&stream, Z_NO_FLUSH);
    text.append(piece.data(), piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (outcome != Z_STREAM_END) return unreadable("a part is no gzip, or too large");
  return text;
}

}  // namespace

sql_runner statements::runner(std::shared_ptr<account> where, statement_limits limits) {
  return [runner = std::make_shared<statements>(std::move(where), limits)](std::string sql) {
    return [](std::shared_ptr<statements> kept, std::string text) -> asio::awaitable<result<sql_rows>> {
      co_return co_await kept->run(std::move(text));
    }(runner, std::move(sql));
  };
}

asio::awaitable<result<sql_rows>> statements::run(std::string sql) {
  auto const& options = account_->options();
  json::object body{{"statement", sql},
                    {"timeout", std::chrono::ceil<std::chrono::seconds>(limits_.running).count()},
                    // A block counts as one; without it a semicolon in a statement could be a second one.
                    {"parameters", {{"MULTI_STATEMENT_COUNT", "1"}}}};
  auto const add = [&body](char const* name, std::string const& value) {
    if (!value.empty()) body[name] = value;
  };
  add("role", options.role);
  add("warehouse", options.warehouse);
  add("database", options.database);
  add("schema", options.schema);
  auto answer =
      co_await ask("POST", fmt::format("/api/v2/statements?requestId={}", new_request_id()), json::serialize(body));
  if (answer && answer->status == 202) answer = co_await wait_for_end(std::move(*answer));
  if (!answer) co_return fail(std::move(answer));
  if (answer->status != 200) co_return refused(*answer);
  co_return co_await read_all(std::move(*answer));
}

// Tries again while that helps; returns the first answer that does not pass by itself.
asio::awaitable<result<http::response>> statements::ask(std::string method, std::string target, std::string body) {
  retry_budget budget(co_await asio::this_coro::executor, limits_.trying);
  auto const first_target = target;
  for (;;) {
    http::request question;
    question.method = method;
    question.target = target;
    question.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
    question.body = body;
    question.repeatable = true;
    question.timeout = std::chrono::seconds(90);  // the service answers 202 after 45
    auto answer = co_await account_->send(std::move(question));
    bool const again = answer ? passes(answer->status) : answer.error().kind == severity::retry;
    if (!again) co_return answer;
    if (!co_await budget.another()) {
      if (!answer) co_return answer;
      auto failure = refused(*answer);
      failure.kind = severity::retry;
      failure.code = "snowflake.unavailable";
      failure.message = fmt::format("Snowflake runs no statements now (status {})", answer->status);
      failure.hint.clear();
      co_return failure;
    }
    if (method == "POST") target = first_target + "&retry=true";
  }
}

asio::awaitable<result<http::response>> statements::wait_for_end(http::response pending) {
  auto const until = std::chrono::steady_clock::now() + limits_.running + limits_.trying;
  auto pause = std::min<std::chrono::milliseconds>(std::chrono::milliseconds(100), limits_.polling);
  asio::steady_timer timer(co_await asio::this_coro::executor);
  json::error_code failed;
  auto const parsed = json::parse(pending.body, failed);
  auto const* const fields = failed ? nullptr : object_of(parsed);
  auto const handle = fields == nullptr ? std::string() : text_at(*fields, "statementHandle");
  if (handle.empty()) co_return unreadable("it has no statementHandle");
  while (std::chrono::steady_clock::now() < until) {
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
    pause = std::min(pause * 2, limits_.polling);
    auto answer = co_await ask("GET", "/api/v2/statements/" + http::percent_encode(handle), "");
    if (!answer || answer->status != 202) co_return answer;
  }
  co_return error{severity::retry, "snowflake.unavailable", "a statement did not end in time"};
}

asio::awaitable<result<sql_rows>> statements::read_all(http::response first) {
  constexpr std::size_t most_part = 64 << 20;
  sql_rows rows;
  std::string handle;
  std::size_t parts = 1;
  for (std::size_t part = 0; part < parts; ++part) {
    if (part > 0) {
      auto next = co_await ask(
          "GET", fmt::format("/api/v2/statements/{}?partition={}", http::percent_encode(handle), part), "");
      if (!next) co_return fail(std::move(next));
      if (next->status != 200) co_return refused(*next);
      first = std::move(*next);
    }
    auto text = unpacked(first, most_part);
    if (!text) co_return fail(std::move(text));
    json::error_code failed;
    auto const parsed = json::parse(*text, failed);
    auto const* const fields = failed ? nullptr : object_of(parsed);
    if (fields == nullptr || !append_rows(*fields, rows)) co_return unreadable("its rows are not arrays of texts");
    if (part > 0) continue;
    handle = text_at(*fields, "statementHandle");
    auto const* const metadata = fields->if_contains("resultSetMetaData");
    auto const* const described = metadata == nullptr ? nullptr : object_of(*metadata);
    auto const* const partitions = described == nullptr ? nullptr : described->if_contains("partitionInfo");
    if (partitions != nullptr && partitions->is_array())
      parts = std::max<std::size_t>(1, partitions->as_array().size());
    if (parts > 1 && handle.empty()) co_return unreadable("it has parts and no statementHandle");
  }
  co_return rows;
}

}  // namespace etl::destination::snowflake
