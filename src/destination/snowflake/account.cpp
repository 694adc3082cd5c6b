#include "destination/snowflake/account.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <chrono>

#include "http/base64.hpp"
#include "http/url.hpp"

namespace etl::destination::snowflake {
namespace {

namespace json = boost::json;
using std::chrono::seconds;
using std::chrono::system_clock;

constexpr auto jwt_lifetime = seconds(3000);  // an hour at most; the rest is for clocks that differ
constexpr auto token_lifetime = seconds(600);
constexpr auto renew_before = seconds(60);

// The answer in the field, where the body is a JSON object or text; else the body itself: servers and documentation
// differ on which.
std::string field_or_text(std::string_view body, std::initializer_list<std::string_view> names) {
  json::error_code failed;
  auto const parsed = json::parse({body.data(), body.size()}, failed);
  if (!failed && parsed.is_object()) {
    for (auto const name : names) {
      auto const* const found = parsed.as_object().if_contains({name.data(), name.size()});
      if (found != nullptr && found->is_string()) return std::string(found->as_string());
    }
    return {};
  }
  if (!failed && parsed.is_string()) return std::string(parsed.as_string());
  auto const is_blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!body.empty() && is_blank(body.back())) body.remove_suffix(1);
  while (!body.empty() && is_blank(body.front())) body.remove_prefix(1);
  return std::string(body);
}

// A token that is a JWT says how long it lives; by the server's clock, of which only the difference is taken.
seconds lifetime_of(std::string_view token) {
  auto const first = token.find('.');
  auto const second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return token_lifetime;
  json::error_code failed;
  auto const claims = json::parse(http::from_base64(token.substr(first + 1, second - first - 1)), failed);
  if (failed || !claims.is_object()) return token_lifetime;
  auto const* const issued = claims.as_object().if_contains("iat");
  auto const* const expires = claims.as_object().if_contains("exp");
  if (issued == nullptr || expires == nullptr || !issued->is_int64() || !expires->is_int64()) return token_lifetime;
  return seconds(std::clamp<std::int64_t>(expires->as_int64() - issued->as_int64(), 0, token_lifetime.count()));
}

std::string text_of(json::object const& from, std::string_view name) {
  auto const* const found = from.if_contains({name.data(), name.size()});
  if (found == nullptr) return {};
  if (found->is_string()) return std::string(found->as_string());
  if (found->is_int64()) return std::to_string(found->as_int64());
  return {};
}

}  // namespace

service_error read_service_error(std::string_view body) {
  json::error_code failed;
  auto const parsed = json::parse({body.data(), body.size()}, failed);
  if (failed || !parsed.is_object()) return {};
  auto const& fields = parsed.as_object();
  return {text_of(fields, "code"), text_of(fields, "message"), text_of(fields, "sqlState")};
}

std::string public_address(std::string_view account) {
  std::string host(account);
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_') c = '-';
  }
  return fmt::format("https://{}.snowflakecomputing.com", host);
}

result<std::unique_ptr<account>> account::make(asio::any_io_executor home, account_options options) {
  auto keys = key_pair::load(options.account, options.user, options.private_key.reveal(), options.passphrase.reveal());
  if (!keys) return fail(std::move(keys));
  http::client_options front;
  front.url = options.endpoint.empty() ? public_address(options.account) : options.endpoint;
  front.ca_file = options.ca_file;
  front.proxies = options.proxies;
  auto client = http::client::make(home, std::move(front));
  if (!client) return fail(std::move(client));
  return std::unique_ptr<account>(
      new account(std::move(home), std::move(options), std::move(*keys), std::move(*client)));
}

account::account(asio::any_io_executor home, account_options options, key_pair keys,
                 std::unique_ptr<http::client> front)
    : home_(std::move(home)),
      options_(std::move(options)),
      keys_(std::move(keys)),
      front_(std::move(front)),
      ready_(home_) {}

void account::drop_idle() {
  front_->drop_idle();
  if (ingest_) ingest_->drop_idle();
}

std::string account::jwt() {
  auto const now = options_.now();
  if (jwt_.text.empty() || now >= jwt_.expires - renew_before) {
    jwt_ = {keys_.token(now, jwt_lifetime), now + jwt_lifetime};
  }
  return jwt_.text;
}

error account::refused(http::response const& answer) const {
  auto const said = read_service_error(answer.body);
  error failure{severity::config, "snowflake.authentication",
                fmt::format("{} does not let user {} in{}", front_->server().host, options_.user,
                            said.code.empty() ? "" : fmt::format(" (code {})", said.code)),
                fmt::format("DESCRIBE USER has to show RSA_PUBLIC_KEY_FP as {}; account, user and this machine's clock "
                            "have to be right.",
                            keys_.fingerprint())};
  failure.server_text = said.message;
  return failure;
}

asio::awaitable<result<http::response>> account::send_with_jwt(http::request what) {
  what.headers.emplace_back("Authorization", "Bearer " + jwt());
  what.headers.emplace_back("X-Snowflake-Authorization-Token-Type", "KEYPAIR_JWT");
  co_return co_await front_->send(std::move(what));
}

asio::awaitable<result<http::response>> account::send(http::request what) {
  auto answer = co_await send_with_jwt(what);
  if (!answer || answer->status != 401) co_return answer;
  jwt_ = {};
  answer = co_await send_with_jwt(std::move(what));
  if (answer && answer->status == 401) co_return refused(*answer);
  co_return answer;
}

asio::awaitable<result<http::response>> account::send_ingest(http::request what) {
  for (int attempt = 0;; ++attempt) {
    auto token = co_await ingest_token();
    if (!token) co_return fail(std::move(token));
    auto authorized = what;
    authorized.headers.emplace_back("Authorization", "Bearer " + *token);
    auto answer = co_await ingest_->send(std::move(authorized));
    if (!answer || answer->status != 401) co_return answer;
    if (token_.text == *token) token_ = {};
    if (attempt > 0) co_return refused(*answer);
  }
}

// One at a time asks; who comes meanwhile finds the answer.
asio::awaitable<result<std::string>> account::ingest_token() {
  while (getting_ready_) co_await ready_.wait();
  if (!ingest_ || token_.text.empty() || options_.now() >= token_.expires - renew_before) {
    getting_ready_ = true;
    struct leave {
      account& from;
      ~leave() {
        from.getting_ready_ = false;
        from.ready_.notify();
      }
    } const guard{*this};
    if (!ingest_) {
      if (auto found = co_await find_ingest_host(); !found) co_return fail(std::move(found));
    }
    if (auto exchanged = co_await exchange_token(); !exchanged) co_return fail(std::move(exchanged));
  }
  co_return token_.text;
}

// Snowflake documentation, "Snowpipe Streaming REST API": GET /v2/streaming/hostname.
asio::awaitable<result<void>> account::find_ingest_host() {
  http::request question;
  question.target = "/v2/streaming/hostname";
  question.repeatable = true;
  auto answer = co_await send(std::move(question));
  if (!answer) co_return fail(std::move(answer));
  auto const host = answer->status == 200 ? field_or_text(answer->body, {"hostname"}) : std::string();
  if (host.empty()) {
    error failure{severity::retry, "snowflake.answer",
                  fmt::format("the account does not say where rows go (status {})", answer->status)};
    failure.server_text = read_service_error(answer->body).message;
    co_return failure;
  }
  http::client_options options;
  // Who reaches the account by a port of its own (a tunnel, a test) reaches this server by the same.
  auto const& front = front_->server();
  options.url = fmt::format("{}://{}{}", front.secure ? "https" : "http", host,
                            host.find(':') == std::string::npos ? fmt::format(":{}", front.port) : "");
  options.ca_file = options_.ca_file;
  options.proxies = options_.proxies;
  auto client = http::client::make(home_, std::move(options));
  if (!client) co_return fail(std::move(client));
  ingest_ = std::move(*client);
  co_return result<void>();
}

// RFC 7523, section 2.1.
asio::awaitable<result<void>> account::exchange_token() {
  for (int attempt = 0;; ++attempt) {
    auto const form = fmt::format("grant_type={}&scope={}&assertion={}",
                                  http::percent_encode("urn:ietf:params:oauth:grant-type:jwt-bearer"),
                                  http::percent_encode(ingest_->server().authority()), http::percent_encode(jwt()));
    http::request question;
    question.method = "POST";
    question.target = "/oauth/token";
    question.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    question.body = form;
    question.repeatable = true;
    auto const asked = options_.now();
    auto answer = co_await front_->send(std::move(question));
    if (!answer) co_return fail(std::move(answer));
    if (answer->status == 200) {
      auto text = field_or_text(answer->body, {"token", "access_token"});
      if (!text.empty()) {
        auto const lifetime = lifetime_of(text);
        token_ = {std::move(text), asked + lifetime};
        co_return result<void>();
      }
    }
    jwt_ = {};
    bool const denied = answer->status == 400 || answer->status == 401 || answer->status == 403;
    if (denied && attempt == 0) continue;
    if (denied) co_return refused(*answer);
    co_return error{severity::retry, "snowflake.answer",
                    fmt::format("the account gives no token for rows (status {})", answer->status)};
  }
}

}  // namespace etl::destination::snowflake
