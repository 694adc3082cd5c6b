#include "runtime/circuit_breaker.hpp"

#include <optional>

namespace etl::runtime {
namespace {

using state = circuit_breaker::state;

// The word: 2 bits state, 8 bits count, 8 bits probes, 46 bits time (ms of the steady clock; enough for 2,000 years).
struct fields {
  state now = state::closed;
  unsigned count = 0;       // closed: failures in a row; half open: successes
  unsigned probes = 0;      // half open: calls that have not answered
  std::uint64_t since = 0;  // open: when it opened; half open: when the last probe was let through

  static fields unpack(std::uint64_t word) {
    return {static_cast<state>(word & 3), static_cast<unsigned>(word >> 2 & 0xff),
            static_cast<unsigned>(word >> 10 & 0xff), word >> 18};
  }
  [[nodiscard]] std::uint64_t pack() const {
    return static_cast<std::uint64_t>(now) | std::uint64_t{count} << 2 | std::uint64_t{probes} << 10 | since << 18;
  }
};

std::uint64_t milliseconds(circuit_breaker::clock::time_point at) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count());
}

// Replaces the word by what `change` makes of it, until nobody came in between. Nothing: it stays. Returns whether it
// was replaced.
template <class Change>
bool update(std::atomic<std::uint64_t>& word, Change change) {
  auto seen = word.load(std::memory_order_acquire);
  for (;;) {
    std::optional<fields> const wanted = change(fields::unpack(seen));
    if (!wanted) return false;
    if (word.compare_exchange_weak(seen, wanted->pack(), std::memory_order_acq_rel, std::memory_order_acquire))
      return true;
  }
}

}  // namespace

bool circuit_breaker::allow_probe(clock::time_point at) {
  auto const now = milliseconds(at);
  auto const open_for = static_cast<std::uint64_t>(options_.open_for.count());
  return update(word_, [&](fields was) -> std::optional<fields> {
    bool const waited = now >= was.since + open_for;
    switch (was.now) {
      case state::closed:  // meanwhile
        return was;
      case state::open:
        if (!waited) return std::nullopt;
        return fields{state::half_open, 0, 1, now};
      case state::half_open:
        if (was.probes < options_.probes) return fields{state::half_open, was.count, was.probes + 1, now};
        if (waited) return fields{state::half_open, was.count, 1, now};
        return std::nullopt;
    }
    return std::nullopt;
  });
}

void circuit_breaker::failed(clock::time_point at) {
  auto const now = milliseconds(at);
  update(word_, [&](fields was) -> std::optional<fields> {
    if (was.now == state::open) return std::nullopt;  // a call from before it opened
    if (was.now == state::half_open || was.count + 1 >= options_.failures_to_open)
      return fields{state::open, 0, 0, now};
    ++was.count;
    return was;
  });
}

void circuit_breaker::succeeded(clock::time_point) {
  update(word_, [&](fields was) -> std::optional<fields> {
    if (was.now == state::open || (was.now == state::closed && was.count == 0)) return std::nullopt;
    if (was.now == state::closed || was.count + 1 >= options_.successes_to_close) return fields{};
    ++was.count;
    if (was.probes > 0) --was.probes;
    return was;
  });
}

}  // namespace etl::runtime
