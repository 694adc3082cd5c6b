#include "http/client.hpp"

#include <algorithm>
#include <optional>

#include "http/connection.hpp"
#include "http/tls.hpp"
#include "runtime/pause.hpp"

namespace etl::http {
namespace {

// A name server that says "no such name" may be wrong for a while, for instance until a VPN is up: half a minute.
constexpr unsigned most_lookups = 7;
constexpr auto first_pause = std::chrono::milliseconds(500);

bool equal_names(std::string_view one, std::string_view other) {
  auto const lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

std::string_view response::header(std::string_view name) const {
  auto const found =
      std::find_if(headers.begin(), headers.end(), [&](auto const& h) { return equal_names(h.first, name); });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

result<std::unique_ptr<client>> client::make(asio::any_io_executor home, client_options options) {
  auto server = url::parse(options.url);
  if (!server) return fail(std::move(server));
  auto proxy = proxy_for(options.proxies, *server);
  if (!proxy) return fail(std::move(proxy));
  std::unique_ptr<tls_settings> tls;
  if (server->secure) {
    auto made = tls_settings::make(options.ca_file);
    if (!made) return fail(std::move(made));
    tls = std::move(made).value();
  }
  return std::unique_ptr<client>(
      new client(std::move(home), std::move(options), std::move(*server), std::move(*proxy), std::move(tls)));
}

client::client(asio::any_io_executor home, client_options options, url server, std::optional<url> proxy,
               std::unique_ptr<tls_settings> tls)
    : home_(std::move(home)),
      options_(std::move(options)),
      server_(std::move(server)),
      proxy_(std::move(proxy)),
      tls_(std::move(tls)),
      freed_(home_) {}

client::~client() = default;

void client::drop_idle() { idle_.clear(); }

asio::awaitable<result<response>> client::send(request what) {
  while (busy_ >= options_.connections) co_await freed_.wait();
  ++busy_;
  struct leave {
    client& from;
    ~leave() {
      --from.busy_;
      from.freed_.notify();
    }
  } const guard{*this};
  co_return co_await exchange(what);
}

asio::awaitable<result<response>> client::exchange(request const& what) {
  auto const authority = server_.authority();
  for (auto kept = take_idle();; kept.reset()) {
    bool const is_kept = kept != nullptr;
    if (!is_kept) {
      auto opened = co_await connect();
      if (!opened) co_return fail(std::move(opened));
      kept = std::move(opened).value();
    }
    auto answer = co_await kept->exchange(what, authority, options_.most_answer);
    if (answer) {
      if (kept->reusable()) idle_.push_back(std::move(kept));
      co_return answer;
    }
    // Servers close what was idle for long, and their word may cross ours. All the others are as old.
    bool const was_closed = is_kept && !kept->answer_began() && answer.error().code == "http.lost";
    if (!was_closed || !what.repeatable) co_return answer;
    idle_.clear();
  }
}

std::unique_ptr<connection> client::take_idle() {
  auto const too_old = std::chrono::steady_clock::now() - options_.keep_idle;
  while (!idle_.empty()) {
    auto last = std::move(idle_.back());
    idle_.pop_back();
    if (last->last_used() > too_old && last->reusable()) return last;
  }
  return nullptr;
}

asio::awaitable<result<std::unique_ptr<connection>>> client::connect() {
  auto pause = first_pause;
  for (unsigned lookup = 1;; ++lookup) {
    auto opened = co_await connection::open(server_, proxy_, tls_.get(), options_.connect_timeout);
    if (opened) {
      reached_ = true;
      co_return opened;
    }
    if (opened.error().code != "http.unknown_host" || reached_) co_return opened;
    if (lookup == most_lookups) {
      auto failure = fail(std::move(opened));
      failure.kind = severity::config;
      co_return failure;
    }
    co_await runtime::pause(pause);
    pause *= 2;
  }
}

}  // namespace etl::http
