#include "destination/snowflake/rest_transport.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <random>

#include "http/url.hpp"
#include "runtime/backoff.hpp"
#include "runtime/pause.hpp"
#include "runtime/task_group.hpp"

namespace etl::destination::snowflake {
namespace {

namespace json = boost::json;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The service's limit is 4 MB as sent; what is compressed at once is far below what memory could mind.
constexpr std::size_t most_sent = 4'000'000;
constexpr std::size_t most_unpacked = 32 << 20;
constexpr int compression_level = 1;
constexpr auto answer_limit = milliseconds(30'000);
constexpr std::size_t slowest_line = 50;  // bytes a millisecond that an upload has to manage
constexpr std::size_t position_size = 32;
constexpr std::string_view json_type = "application/json";

// What the service says when a channel's session is over; the first means that somebody opened the channel since.
constexpr std::array fenced_codes = {std::string_view("STALE_CONTINUATION_TOKEN_SEQUENCER"),
                                     std::string_view("ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER")};
constexpr std::array invalid_codes = {
    std::string_view("ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED"),
    std::string_view("ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED"),
    std::string_view("ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER"),
    std::string_view("ERR_CHANNEL_MUST_BE_REOPENED"),
    std::string_view("ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP"),
    std::string_view("ERR_CHANNEL_DOES_NOT_EXIST_OR_IS_NOT_AUTHORIZED"),
    std::string_view("STALE_PIPE_CACHE"),
    std::string_view("ERR_OPEN_CHANNEL_IN_PROGRESS"),
};
// Somebody on the way may allow less than the service does.
constexpr std::string_view too_large_code = "snowflake.row_too_large";
constexpr std::string_view uncommitted_code = "ERR_CHANNEL_HAS_UNCOMMITTED_DATA";

runtime::backoff pauses(milliseconds first) {
  return {first, milliseconds(5'000), [random = std::minstd_rand(std::random_device{}())]() mutable {
            return std::uniform_real_distribution<double>()(random);
          }};
}

bool passing(http::response const& answer) {
  return answer.status == 408 || answer.status == 429 || answer.status >= 500;
}

json::value parse(std::string_view text) {
  boost::system::error_code failed;
  auto parsed = json::parse(json::string_view(text.data(), text.size()), failed);
  return failed ? json::value() : parsed;
}

std::string text_at(json::object const& from, std::string_view name) {
  auto const* const found = from.if_contains(json::string_view(name.data(), name.size()));
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

std::uint64_t count_at(json::object const& from, std::string_view name) {
  auto const* const found = from.if_contains(json::string_view(name.data(), name.size()));
  if (found == nullptr) return 0;
  boost::system::error_code failed;
  auto const number = found->to_number<std::uint64_t>(failed);
  return failed ? 0 : number;
}

channel_status status_from(json::object const& told) {
  auto const* const code = told.if_contains("channel_status_code");
  // A channel in order is SUCCESS in the documentation, and was seen to be ACTIVE and 0.
  bool const valid =
      code == nullptr ||
      (code->is_string() ? code->as_string() == "SUCCESS" || code->as_string() == "ACTIVE" || code->as_string() == "0"
                         : code->is_int64() && code->as_int64() == 0);
  return {.committed = text_at(told, "last_committed_offset_token"),
          .inserted = count_at(told, "rows_inserted"),
          .errors = std::max(count_at(told, "rows_error_count"), count_at(told, "rows_errors")),
          .last_error = text_at(told, "last_error_message"),
          .last_error_bound = text_at(told, "last_error_offset_upper_bound"),
          .valid = valid};
}

error unreadable(std::string_view channel) {
  return {.kind = severity::retry,
          .code = "snowflake.unavailable",
          .message = fmt::format("Snowflake's answer for channel {} cannot be read", channel)};
}

error error_from(http::response const& answer, std::string_view channel) {
  auto const said = parse(answer.body);
  auto const code = said.is_object() ? text_at(said.as_object(), "code") : std::string();
  error failure{.kind = severity::config, .code = "snowflake.request"};
  if (said.is_object()) failure.server_text = text_at(said.as_object(), "message");
  failure.message = fmt::format("Snowflake refuses a request for channel {} ({}{}{})", channel, answer.status,
                                code.empty() ? "" : ", ", code);
  if (std::ranges::find(fenced_codes, code) != fenced_codes.end()) {
    failure.kind = severity::retry;
    failure.code = "snowflake.fenced";
  } else if (std::ranges::find(invalid_codes, code) != invalid_codes.end()) {
    failure.kind = severity::retry;
    failure.code = "snowflake.channel_invalid";
  } else if (code == uncommitted_code) {
    failure.kind = severity::retry;
    failure.code = "snowflake.uncommitted_rows";
  } else if (answer.status == 413) {
    failure.code = too_large_code;
  } else if (passing(answer)) {
    failure.kind = severity::retry;
    failure.code = "snowflake.unavailable";
  } else if (answer.status == 401 || answer.status == 403) {
    failure.hint = "Look at the role's privileges, and at the user's public key.";
  }
  return failure;
}

}  // namespace

rest_transport::rest_transport(rest_options options) : options_(std::move(options)), zstd_(ZSTD_createCCtx()) {
  if (!zstd_) throw std::bad_alloc();
}

rest_transport::~rest_transport() = default;

void rest_transport::release::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

std::string rest_transport::pipe_path(std::string_view before, std::string const& table) const {
  return fmt::format("/v2/streaming{}/databases/{}/schemas/{}/pipes/{}", before,
                     http::percent_encode(options_.database), http::percent_encode(options_.schema),
                     http::percent_encode(table + "-STREAMING"));
}

asio::awaitable<result<http::response>> rest_transport::request(http::request what, std::string_view channel) {
  what.repeatable = true;
  auto const until = clock::now() + options_.retry_for;
  auto waits = pauses(milliseconds(100));
  for (;;) {
    auto answer = co_await options_.send(what);
    bool const passes = answer ? passing(*answer) : answer.error().kind == severity::retry;
    if (!passes) {
      if (!answer) co_return fail(std::move(answer));
      if (answer->status / 100 == 2) co_return answer;
      co_return error_from(*answer, channel);
    }
    auto const wait = waits.next();
    if (clock::now() + wait > until) co_return answer ? result<http::response>(error_from(*answer, channel)) : answer;
    co_await runtime::pause(wait);
  }
}

asio::awaitable<result<channel_status>> rest_transport::open(std::string table, std::string channel) {
  auto const target = fmt::format("{}/channels/{}", pipe_path("", table), http::percent_encode(channel));
  auto const until = clock::now() + options_.commit_for;
  auto waits = pauses(milliseconds(100));
  for (;;) {
    auto answer = co_await request({.method = "PUT",
                                    .target = target,
                                    .headers = {{"Content-Type", std::string(json_type)}},
                                    .body = R"({"fail_on_uncommitted_rows":true})"},
                                   channel);
    if (!answer) {
      auto const wait = waits.next();
      if (answer.error().code != "snowflake.uncommitted_rows" || clock::now() + wait > until) {
        co_return fail(std::move(answer));
      }
      co_await runtime::pause(wait);
      continue;
    }
    auto const told = parse(answer->body);
    auto const* const status = told.is_object() ? told.as_object().if_contains("channel_status") : nullptr;
    if (status == nullptr || !status->is_object()) co_return unreadable(channel);
    sessions_[channel] = {std::move(table), text_at(told.as_object(), "next_continuation_token")};
    co_return status_from(status->as_object());
  }
}

result<void> rest_transport::compress(std::string_view rows, buffer& into) {
  auto const bound = ZSTD_compressBound(rows.size());
  into.clear();
  auto const size =
      ZSTD_compressCCtx(zstd_.get(), into.reserve(bound), bound, rows.data(), rows.size(), compression_level);
  if (ZSTD_isError(size) != 0) {
    return error{.kind = severity::retry,
                 .code = "destination.compression",
                 .message = "compressing rows failed, for want of memory"};
  }
  into.commit(size);
  return result<void>();
}

position rest_transport::position_of(std::string_view row) const {
  return position::parse(row.substr(options_.position_offset, position_size)).value_or(position{});
}

asio::awaitable<result<void>> rest_transport::append(std::string const& channel, std::string_view rows, std::size_t,
                                                     position, position last) {
  buffer packed;
  // As much as fits into a request. What turns out too large is halved, and so is all that follows.
  for (auto most = most_unpacked; !rows.empty();) {
    auto part = rows;
    if (part.size() > most) {
      auto const end = rows.rfind('\n', most - 1);
      part = rows.substr(0, end == std::string_view::npos ? rows.find('\n') + 1 : end + 1);
    }
    if (auto done = compress(part, packed); !done) co_return done;
    bool too_large = packed.size() > most_sent;
    if (!too_large) {
      auto const last_row = part.rfind('\n', part.size() - 2);
      auto const row = part.substr(last_row == std::string_view::npos ? 0 : last_row + 1);
      auto const to = part.size() == rows.size() ? last : position_of(row);
      auto sent = co_await append_one(channel, packed.view(), part.size(), to);
      too_large = !sent && sent.error().code == too_large_code;
      if (!sent && !too_large) co_return sent;
    }
    if (!too_large) {
      rows.remove_prefix(part.size());
      continue;
    }
    if (part.find('\n') + 1 >= part.size()) {
      co_return error{.kind = severity::config,
                      .code = too_large_code,
                      .message = fmt::format("the row at {} is larger than the 4 MB that Snowflake takes at once",
                                             position_of(part).to_text()),
                      .hint = "Leave the column that makes it so large out of the publication."};
    }
    most = part.size() / 2;
  }
  co_return result<void>();
}

asio::awaitable<result<void>> rest_transport::append_one(std::string const& channel, std::string_view packed,
                                                         std::size_t unpacked, position last) {
  auto& session = sessions_.at(channel);
  if (auto const wait = session.not_before - clock::now(); wait > clock::duration::zero()) {
    co_await runtime::pause(wait);
  }
  session.not_before = clock::now() + options_.spacing;
  auto answer =
      co_await request({.method = "POST",
                        .target = fmt::format("{}/channels/{}/rows?continuationToken={}&offsetToken={}",
                                              pipe_path("/data", session.table), http::percent_encode(channel),
                                              http::percent_encode(session.continuation), last.to_text()),
                        .headers = {{"Content-Type", "application/x-ndjson"},
                                    {"Content-Encoding", "zstd"},
                                    {"X-Snowflake-Uncompressed-Content-Length", std::to_string(unpacked)}},
                        .body = packed,
                        .timeout = answer_limit + milliseconds(packed.size() / slowest_line)},
                       channel);
  if (!answer) co_return fail(std::move(answer));
  auto const told = parse(answer->body);
  auto next = told.is_object() ? text_at(told.as_object(), "next_continuation_token") : std::string();
  if (next.empty()) co_return unreadable(channel);
  session.continuation = std::move(next);
  co_return result<void>();
}

asio::awaitable<result<void>> rest_transport::status_of(std::string table, std::vector<std::string> channels,
                                                        statuses& into) {
  json::array names;
  for (auto const& channel : channels) names.emplace_back(channel);
  auto const body = json::serialize(json::object{{"channel_names", std::move(names)}});
  auto answer = co_await request({.method = "POST",
                                  .target = pipe_path("", table) + ":bulk-channel-status",
                                  .headers = {{"Content-Type", std::string(json_type)}},
                                  .body = body},
                                 channels.front());
  if (!answer) co_return fail(std::move(answer));
  auto const told = parse(answer->body);
  auto const* const all = told.is_object() ? told.as_object().if_contains("channel_statuses") : nullptr;
  if (all == nullptr || !all->is_object()) co_return unreadable(channels.front());
  for (auto const& channel : channels) {
    auto const* const one = all->as_object().if_contains(channel);
    bool const known = one != nullptr && one->is_object();
    into[channel] = known ? status_from(one->as_object()) : channel_status{.valid = false};
  }
  co_return result<void>();
}

asio::awaitable<result<std::vector<channel_status>>> rest_transport::status(std::vector<std::string> const& channels) {
  std::map<std::string, std::vector<std::string>> by_table;
  for (auto const& channel : channels) by_table[sessions_.at(channel).table].push_back(channel);
  statuses found;
  runtime::task_group group(co_await asio::this_coro::executor);
  for (auto& [table, names] : by_table) group.spawn(status_of(table, std::move(names), found), "channel status");
  if (auto asked = co_await group.join(); !asked) co_return fail(std::move(asked));
  std::vector<channel_status> all;
  for (auto const& channel : channels) all.push_back(std::move(found.at(channel)));
  co_return all;
}

asio::awaitable<void> rest_transport::close() { co_return; }

}  // namespace etl::destination::snowflake
