#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace etl::runtime {

// Keeps a destination that fails from being called again and again. All cores share one: its whole state is one atomic
// word, and asking a closed breaker costs one load.
//
// Closed: every call is allowed; `failures_to_open` failures in a row open it. Open: none is, for `open_for`. Then half
// open: up to `probes` calls at a time are allowed; `successes_to_close` of them close it, one failure opens it again.
// A probe that says nothing for `open_for` (its caller was cancelled) counts as gone.
class circuit_breaker {
 public:
  using clock = std::chrono::steady_clock;
  struct options {
    unsigned failures_to_open = 5;  // 255 at most, as the two below
    std::chrono::milliseconds open_for = std::chrono::seconds(30);
    unsigned probes = 1;
    unsigned successes_to_close = 2;
  };
  enum class state : std::uint8_t { closed, open, half_open };

  circuit_breaker() : circuit_breaker(options{}) {}
  explicit circuit_breaker(options how) : options_(how) {}

  // Whether to call now. Who gets true says what became of it: failed() or succeeded().
  [[nodiscard]] bool allow(clock::time_point now) {
    return (word_.load(std::memory_order_acquire) & 3) == 0 || allow_probe(now);
  }
  void failed(clock::time_point now);
  void succeeded(clock::time_point now);
  [[nodiscard]] state current() const { return static_cast<state>(word_.load(std::memory_order_acquire) & 3); }

 private:
  bool allow_probe(clock::time_point now);

  options options_;
  std::atomic<std::uint64_t> word_{0};
};

}  // namespace etl::runtime
