#include "replication/receive_habit.hpp"

#include <algorithm>
#include <utility>

namespace etl::replication {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kib = 1024;

// A flood: more than this for that many windows of that length in a row.
constexpr double flood_rate = 4e6;  // bytes a second
constexpr auto flood_window = 5ms;
constexpr unsigned flood_windows = 4;
// Its end. Well below, so that a flow in between does not swing to and fro.
constexpr double trickle_rate = 1e6;

constexpr auto warm_up = 10ms;
constexpr auto trial = 30ms;  // at least, and until this much came or this long passed:
constexpr std::size_t trial_bytes = 1 << 20;
constexpr auto longest_trial = 60ms;
// One that brings less than half of the best is given up early.
constexpr auto shortest_trial = 15ms;
constexpr double hopeless = 0.5;

constexpr auto settled_window = 100ms;
constexpr auto between_challenges = 2s;
constexpr auto most_between_challenges = 16s;  // twice as long after each that was lost
constexpr double better = 1.05;                // a lazier habit has to bring this much more
constexpr double much_slower = 0.6;
constexpr unsigned slow_windows = 3;

}  // namespace

receive_habit::receive_habit()
    : candidates_{
          {{.pause = 0us}}, {{.pause = 200us, .drain = false}},      {{.pause = 500us, .drain = false}},
          {{.pause = 2ms}}, {{.pause = 2ms, .low_water = 40 * kib}},
      } {}

void receive_habit::interrupted(time_point now) {
  since_ = now;
  bytes_ = 0;
  streak_ = 0;
  warming_up_ = phase_ != phase::trickle;
}

habit receive_habit::to(phase next_phase, std::size_t candidate, time_point now) {
  phase_ = next_phase;
  current_ = candidate;
  interrupted(now);
  return candidates_[current_].way;
}

habit receive_habit::explore(time_point now) {
  for (auto& c : candidates_) c.rate = 0;
  return to(phase::exploring, 0, now);
}

std::size_t receive_habit::eagerest_of_the_best() const {
  auto const fastest = std::max_element(candidates_.begin(), candidates_.end(),
                                        [](auto const& a, auto const& b) { return a.rate < b.rate; });
  auto const enough = std::find_if(candidates_.begin(), candidates_.end(),
                                   [&](auto const& c) { return c.rate * better >= fastest->rate; });
  return static_cast<std::size_t>(enough - candidates_.begin());
}

habit receive_habit::next(time_point now, std::size_t bytes) {
  bytes_ += bytes;
  auto const elapsed = now - since_;
  if (phase_ == phase::trickle) {
    if (elapsed < flood_window) return candidates_[0].way;
    bool const busy = static_cast<double>(bytes_) > flood_rate * std::chrono::duration<double>(elapsed).count();
    streak_ = busy ? streak_ + 1 : 0;
    since_ = now;
    bytes_ = 0;
    return streak_ < flood_windows ? candidates_[0].way : explore(now);
  }
  if (warming_up_) {
    if (elapsed >= warm_up) {
      warming_up_ = false;
      since_ = now;
      bytes_ = 0;
    }
    return candidates_[current_].way;
  }
  auto const rate = static_cast<double>(bytes_) / std::chrono::duration<double>(elapsed).count();
  bool const enough = phase_ == phase::settled
                          ? elapsed >= settled_window
                          : (elapsed >= trial && (bytes_ >= trial_bytes || elapsed >= longest_trial)) ||
                                (elapsed >= shortest_trial && rate < hopeless * best_rate());
  if (!enough) return candidates_[current_].way;
  since_ = now;
  bytes_ = 0;
  return measured(now, rate);
}

double receive_habit::best_rate() const {
  double best = 0;
  for (auto const& c : candidates_) best = std::max(best, c.rate);
  return best;
}

// A window that shrinks may shut for a while: a trial that brings next to nothing says so of that habit, not of the
// flow.
habit receive_habit::measured(time_point now, double rate) {
  auto& known = candidates_[current_].rate;
  switch (phase_) {
    case phase::exploring:
      known = rate;
      if (current_ + 1 < candidates_.size()) return to(phase::exploring, current_ + 1, now);
      if (best_rate() < trickle_rate) return to(phase::trickle, 0, now);
      best_ = eagerest_of_the_best();
      settled_since_ = now;
      patience_ = between_challenges;
      settling_ = true;
      return stay(now);
    case phase::challenging: {
      known = rate;
      // The more eager of two has to be as good only.
      auto const other = candidates_[best_].rate;
      bool const won = current_ < best_ ? rate * better >= other : rate >= other * better;
      if (won) best_ = current_;
      settling_ = won;
      patience_ = won ? between_challenges : std::min<duration>(2 * patience_, most_between_challenges);
      settled_since_ = now;
      return stay(now);
    }
    case phase::settled:
    case phase::trickle:
      break;
  }
  if (rate < trickle_rate) return to(phase::trickle, 0, now);
  // A trial is short, and what its predecessor had left in the socket may have flattered it: the first window counts.
  if (std::exchange(settling_, false)) known = rate;
  streak_ = rate < much_slower * known ? streak_ + 1 : 0;
  if (streak_ >= slow_windows) return explore(now);
  if (streak_ == 0) known += (rate - known) / 4;
  if (streak_ > 0 || now - settled_since_ < patience_) return candidates_[current_].way;
  challenger_ = (challenger_ + 1) % candidates_.size();
  if (challenger_ == best_) challenger_ = (challenger_ + 1) % candidates_.size();
  return to(phase::challenging, challenger_, now);
}

}  // namespace etl::replication
