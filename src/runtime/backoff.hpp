#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

namespace etl::runtime {

// How long to wait before the next attempt: doubles from `first` to `most`, and half of it is random, so that many who
// failed together do not come back together.
class backoff {
 public:
  using duration = std::chrono::milliseconds;

  // `random` returns numbers from [0, 1).
  backoff(duration first, duration most, std::function<double()> random)
      : first_(first), most_(most), next_(first), random_(std::move(random)) {}

  // Between half of the current step and all of it; the step then doubles.
  [[nodiscard]] duration next() {
    auto const step = std::exchange(next_, std::min(most_, next_ * 2));
    return std::chrono::duration_cast<duration>(step * (0.5 + random_() / 2));
  }
  // After a success.
  void reset() { next_ = first_; }

 private:
  duration first_;
  duration most_;
  duration next_;
  std::function<double()> random_;
};

}  // namespace etl::runtime
