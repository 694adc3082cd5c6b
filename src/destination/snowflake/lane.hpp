#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <span>
#include <string>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "destination/snowflake/transport.hpp"

namespace etl::destination::snowflake {

// The account of one channel: what was sent, and what of it is proven to be there. Sans-io.
//
// A committed offset alone proves nothing, since the service skips rows that it cannot take while the offset goes on.
// A range is delivered when the offset has reached its end, no row was refused, and as many rows were inserted as were
// sent up to there.
class lane {
 public:
  using clock = std::chrono::steady_clock;

  // `at_open` is what the service said when the channel was opened, with nothing under way; `refusals_seen_to` says how
  // many refused rows of it were put aside. Errors (config): `snowflake.rows_refused`, when more rows than those were
  // refused in an earlier run; `snowflake.foreign_channel`, when the offset is none of this program's.
  [[nodiscard]] static result<lane> opened(std::string channel, channel_status const& at_open,
                                           std::uint64_t refusals_seen_to = 0);

  [[nodiscard]] std::string const& channel() const { return channel_; }
  // Rows at or below are there already, and are not to be sent again.
  [[nodiscard]] position committed() const { return committed_; }

  // A range was accepted. Ranges come in order.
  void sent(position first, position last, std::uint64_t rows);
  // Takes in what the service says. Errors: `snowflake.channel_invalid`, `snowflake.offset_lost` (retry), after which
  // the channel has to be opened again; `snowflake.rows_refused` (config), where `position` is before the first row
  // that may be missing; `snowflake.rows_missing` (config), when rows that are said to be there have not been counted
  // for half a minute; `snowflake.fenced` (retry), when there is more than was sent.
  [[nodiscard]] result<void> learn(channel_status const& status, clock::time_point now);

  // Rows that were refused and not yet seen to, by what the service says.
  [[nodiscard]] std::uint64_t newly_refused(channel_status const& status) const;
  // The offset has reached the end of what was sent.
  [[nodiscard]] bool has_passed_all(channel_status const& status) const;
  // Those rows are put aside: that they are missing is no secret any more.
  void saw_to_refused(channel_status const& status);

  // Everything that was sent is delivered.
  [[nodiscard]] bool idle() const { return sent_.empty(); }
  // The first row that is not; only while not idle.
  [[nodiscard]] position first_missing() const { return sent_.front().first; }

 private:
  struct range {
    position first;
    position last;
    std::uint64_t rows_by_then;  // sent from the opening of the channel to the end of the range
  };

  [[nodiscard]] error refused(channel_status const& status) const;

  std::string channel_;
  position committed_{};
  std::uint64_t inserted_at_open_ = 0;
  std::uint64_t rows_sent_ = 0;
  std::uint64_t refusals_ = 0;   // seen to, from the channel's beginning
  std::uint64_t put_aside_ = 0;  // of the rows that were sent since it was opened
  std::deque<range> sent_;
  clock::time_point uncounted_since_{};  // zero: every committed row is counted
};

// The last position that is less.
[[nodiscard]] position just_before(position at);

// The position up to which everything is delivered: just before the first row that is not, or `accepted` where every
// lane is idle.
[[nodiscard]] position delivered(std::span<lane const* const> lanes, position accepted);

}  // namespace etl::destination::snowflake
