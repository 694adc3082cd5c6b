#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <deque>

#include "base/error.hpp"
#include "pipeline/home.hpp"

namespace etl::pipeline {

// Takes batches from the builder to the destination, one at a time, and makes them durable: whatever has gathered
// while the destination was busy is the next batch, so that a trickle goes out at once and a flood in large ones.
// Home core.
class writer {
 public:
  writer(home& core, std::chrono::milliseconds max_fill) : core_(core), max_fill_(max_fill) {}

  // Until home::closing and everything is durable, or an error. A `data` error names the table that has to be stopped.
  asio::awaitable<result<void>> run();

 private:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] bool can_take() const;
  [[nodiscard]] bool can_flush() const;
  // What was accepted has waited for max_fill: made durable before anything else is written, or a destination slower
  // than the source would never be confirmed.
  [[nodiscard]] bool overdue() const;
  asio::awaitable<result<void>> write();
  asio::awaitable<result<void>> flush();
  asio::awaitable<result<void>> set_sequences();
  asio::awaitable<void> breaker_closed();

  // Documents of a batch that the destination has not made durable yet.
  struct undelivered {
    position last;
    std::vector<model::document> documents;
  };

  home& core_;
  std::chrono::milliseconds max_fill_;
  clock::time_point unflushed_since_{};
  position accepted_{};
  std::deque<undelivered> undelivered_;
};

}  // namespace etl::pipeline
