#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace etl::replication {

// How to read from the replication connection until the next advice.
struct habit {
  // Before reading on. Zero: read as soon as there is something.
  std::chrono::microseconds pause{0};
  // Read until the socket is empty; otherwise one read(2), and what is left waits for the next turn.
  bool drain = true;
  // Bytes that have to be there before the socket counts as readable (SO_RCVLOWAT), but read after `pause` in any case.
  // Zero: one.
  std::uint32_t low_water = 0;

  friend bool operator==(habit const&, habit const&) = default;
};

// Finds the way to read that lets the walsender be fast. It sends every message with a send() of its own; whether each
// one becomes a segment and a wake-up, or many are gathered at next to no cost, depends on when and how the other side
// reads: a factor of 2.5 between the worst and the best habit, and which one is the best depends on the machine, the
// kernel and the size of the messages. So it is found by trying.
//
// At a trickle the reader wakes at once, for latency. In a flood each of a few habits is tried for some tens of
// milliseconds, the one that brings the most bytes per second stays, and one of the others is tried again now and then,
// the more rarely the more of them have failed; when the flow changes much, all are. Where two are as good as each
// other, the more eager one wins.
class receive_habit {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  receive_habit();

  // Called after each turn of reading with the bytes that it brought; says how to go about the next one.
  habit next(time_point now, std::size_t bytes);
  // The reader did something else than waiting for the socket until `now` (the destination was behind): what is being
  // measured is measured again.
  void interrupted(time_point now);
  [[nodiscard]] bool in_flood() const { return phase_ != phase::trickle; }

 private:
  using duration = std::chrono::steady_clock::duration;
  enum class phase : std::uint8_t { trickle, exploring, settled, challenging };
  struct candidate {
    habit way;
    double rate = 0;  // bytes a second when last measured
  };

  habit to(phase next_phase, std::size_t candidate, time_point now);
  habit explore(time_point now);
  habit stay(time_point now) { return to(phase::settled, best_, now); }
  habit measured(time_point now, double rate);
  [[nodiscard]] std::size_t eagerest_of_the_best() const;
  [[nodiscard]] double best_rate() const;

  std::vector<candidate> candidates_;  // the most eager first
  phase phase_ = phase::trickle;
  std::size_t current_ = 0;
  std::size_t best_ = 0;
  std::size_t challenger_ = 0;
  unsigned streak_ = 0;     // windows in a row: busy ones at a trickle, slow ones in a flood
  bool settling_ = false;   // the kept habit's rate is known from a trial only
  bool warming_up_ = true;  // what was under way when the habit changed is not counted
  time_point since_{};
  time_point settled_since_{};
  duration patience_{};  // between two challenges
  std::size_t bytes_ = 0;
};

}  // namespace etl::replication
