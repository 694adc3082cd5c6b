#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "destination/snowflake/account.hpp"
#include "support/http_server.hpp"
#include "support/run_coro.hpp"
#include "support/show_result.hpp"

namespace etl::test {

// An account's server that answers as a test wants, and remembers what it was asked.
class service {
 public:
  using reply = http_server::reply;
  using answerer = std::function<reply(http_server::request const&)>;

  explicit service(answerer answer)
      : server_([this, answer = std::move(answer)](http_server::request const& asked) {
          std::lock_guard const lock(mutex_);
          seen_.push_back(asked);
          return answer(asked);
        }) {}

  [[nodiscard]] std::string url() const { return server_.url(); }
  [[nodiscard]] std::string host() const { return "localhost:" + std::to_string(server_.port()); }
  [[nodiscard]] std::vector<http_server::request> seen() const {
    std::lock_guard const lock(mutex_);
    return seen_;
  }
  // How often something with this beginning was asked for.
  [[nodiscard]] int count(std::string_view target) const {
    int found = 0;
    for (auto const& one : seen()) found += one.target.starts_with(target) ? 1 : 0;
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<http_server::request> seen_;
  http_server server_;
};

inline key_text const& test_key() {
  static auto const key = key_text::make("");
  return key;
}

inline destination::snowflake::account_options options_for(std::string url) {
  destination::snowflake::account_options options;
  options.account = "myorg-test";
  options.endpoint = std::move(url);
  options.user = "etl";
  options.private_key = config::secret(test_key().private_pem);
  options.proxies = {};
  return options;
}

// Runs the body with an account of its own.
template <class T>
T with_account(destination::snowflake::account_options options,
               std::function<asio::awaitable<T>(std::shared_ptr<destination::snowflake::account>)> body) {
  auto const run = [](auto how, auto what) -> asio::awaitable<T> {
    auto made = destination::snowflake::account::make(co_await asio::this_coro::executor, std::move(how));
    co_return co_await what(std::move(made).value());
  };
  return run_coro(run(std::move(options), std::move(body)));
}

}  // namespace etl::test
