#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <random>

#include "http/message.hpp"
#include "runtime/backoff.hpp"

namespace etl::destination::snowflake {

namespace asio = boost::asio;

// How long one call may be tried again. Home core.
class retry_budget {
 public:
  using clock = std::chrono::steady_clock;

  retry_budget(asio::any_io_executor home, clock::duration most)
      : home_(std::move(home)),
        until_(clock::now() + most),
        backoff_(std::chrono::milliseconds(200), std::chrono::seconds(10), [] {
          thread_local std::minstd_rand random(std::random_device{}());
          return std::uniform_real_distribution<double>()(random);
        }) {}

  // Pauses before the next attempt; false when there is no time for one.
  asio::awaitable<bool> another() {
    auto const pause = backoff_.next();
    if (clock::now() + pause >= until_) co_return false;
    asio::steady_timer timer(home_, pause);
    co_await timer.async_wait(asio::use_awaitable);
    co_return true;
  }
  [[nodiscard]] bool over() const { return clock::now() >= until_; }

 private:
  asio::any_io_executor home_;
  clock::time_point until_;
  runtime::backoff backoff_;
};

// Statuses that pass by themselves.
[[nodiscard]] inline bool passes(unsigned status) { return status == 408 || status == 429 || status >= 500; }

}  // namespace etl::destination::snowflake
