#include "destination/snowflake/lane.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace etl::destination::snowflake {
namespace {

constexpr auto longest_counting = std::chrono::seconds(30);

result<position> offset_of(std::string const& channel, channel_status const& status) {
  if (status.committed.empty()) return position{};
  if (auto const parsed = position::parse(status.committed)) return *parsed;
  return error{.kind = severity::config,
               .code = "snowflake.foreign_channel",
               .message = fmt::format("channel {} has an offset that is not from this program", channel),
               .hint = "Another program writes to it: give this pipeline another name."};
}

}  // namespace

result<lane> lane::opened(std::string channel, channel_status const& at_open, std::uint64_t refusals_seen_to) {
  auto const offset = offset_of(channel, at_open);
  if (!offset) return fail(result(offset));
  lane made;
  made.channel_ = std::move(channel);
  made.committed_ = *offset;
  made.inserted_at_open_ = at_open.inserted;
  made.refusals_ = refusals_seen_to;
  if (made.newly_refused(at_open) > 0) return made.refused(at_open);
  made.refusals_ = at_open.errors;  // a channel that was dropped counts anew
  return made;
}

std::uint64_t lane::newly_refused(channel_status const& status) const {
  return status.errors > refusals_ ? status.errors - refusals_ : 0;
}

bool lane::has_passed_all(channel_status const& status) const {
  auto const offset = offset_of(channel_, status);
  return offset && status.valid && (sent_.empty() || *offset == sent_.back().last);
}

void lane::saw_to_refused(channel_status const& status) {
  put_aside_ += newly_refused(status);
  refusals_ = status.errors;
}

void lane::sent(position first, position last, std::uint64_t rows) {
  rows_sent_ += rows;
  sent_.push_back({first, last, rows_sent_});
}

error lane::refused(channel_status const& status) const {
  auto const from = sent_.empty() ? std::string("its beginning") : sent_.front().first.to_text();
  auto const bound = status.last_error_bound.empty() ? status.committed : status.last_error_bound;
  return {.kind = severity::config,
          .code = "snowflake.rows_refused",
          .message = fmt::format("Snowflake has refused {} rows of channel {}, somewhere from {} to {}",
                                 newly_refused(status), channel_, from, bound),
          .hint =
              "The slot stays before them. Correct the column or the values, then follow \"Refused rows\" in "
              "docs/snowflake.md.",
          .server_text = status.last_error};
}

result<void> lane::learn(channel_status const& status, clock::time_point now) {
  if (newly_refused(status) > 0) return refused(status);
  if (!status.valid) {
    return error{.kind = severity::retry,
                 .code = "snowflake.channel_invalid",
                 .message = fmt::format("channel {} has to be opened again", channel_)};
  }
  auto const offset = offset_of(channel_, status);
  if (!offset) return fail(result(offset));
  if (*offset < committed_ || status.inserted < inserted_at_open_) {
    return error{.kind = severity::retry,
                 .code = "snowflake.offset_lost",
                 .message = fmt::format("channel {} has lost its offset: it was dropped", channel_)};
  }
  auto const inserted = status.inserted - inserted_at_open_ + put_aside_;
  auto const furthest = sent_.empty() ? committed_ : sent_.back().last;
  if (*offset > furthest || inserted > rows_sent_) {
    return error{.kind = severity::retry,
                 .code = "snowflake.fenced",
                 .message = fmt::format("channel {} holds rows that this process has not sent", channel_)};
  }
  bool uncounted = false;
  while (!sent_.empty() && sent_.front().last <= *offset) {
    uncounted = inserted < sent_.front().rows_by_then;
    if (uncounted) break;
    committed_ = sent_.front().last;
    sent_.pop_front();
  }
  if (!uncounted) {
    uncounted_since_ = {};
  } else if (uncounted_since_ == clock::time_point{}) {
    uncounted_since_ = now;
  } else if (now - uncounted_since_ > longest_counting) {
    return error{
        .kind = severity::config,
        .code = "snowflake.rows_missing",
        .message = fmt::format("Snowflake says that channel {} holds everything up to {}, but counts {} rows of "
                               "{}",
                               channel_, offset->to_text(), inserted, sent_.front().rows_by_then),
        .hint = "Follow \"Refused rows\" in docs/snowflake.md."};
  }
  return result<void>();
}

position just_before(position at) {
  if (at.ordinal > 0) return {at.commit, at.ordinal - 1};
  if (at.commit.value > 0) return {lsn{at.commit.value - 1}, std::numeric_limits<std::uint64_t>::max()};
  return {};
}

position delivered(std::span<lane const* const> lanes, position accepted) {
  auto durable = accepted;
  for (auto const* one : lanes) {
    if (!one->idle()) durable = std::min(durable, just_before(one->first_missing()));
  }
  return durable;
}

}  // namespace etl::destination::snowflake
