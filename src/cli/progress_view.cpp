#include "cli/progress_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/human.hpp"

namespace etl::cli {
namespace {

using pipeline::table_copy;
using pipeline::table_progress;
using seconds = std::chrono::duration<double>;

constexpr seconds shortest_sample(0.5);
constexpr seconds memory(4);  // what is this old counts for a third

std::optional<std::chrono::seconds> time_left(std::uint64_t done, std::uint64_t total, std::optional<double> rate) {
  if (!rate || *rate < 1 || total <= done) return std::nullopt;
  auto const left = static_cast<double>(total - done) / *rate;
  if (left > 99 * 3600.0) return std::nullopt;  // a stalled copy, not an estimate
  return std::chrono::seconds(std::llround(left));
}

struct line {
  std::string name;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_total = 0;
  std::optional<double> bytes_per_second;
  std::optional<std::chrono::seconds> left;
  bool waiting = false;
};

std::string without_end(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

// Of the estimate; what is not done shows no 100 %.
std::optional<unsigned> percent(line const& one) {
  if (one.bytes_total == 0) return std::nullopt;
  auto const share = static_cast<double>(one.bytes) / static_cast<double>(one.bytes_total);
  return static_cast<unsigned>(std::min(99.0, share * 100));
}

std::string bar_of(std::optional<unsigned> share, std::size_t inside) {
  if (!share) return std::string(inside + 2, ' ');
  auto const full = inside * *share / 100;
  return fmt::format("[{}>{}]", std::string(full, '='), std::string(inside - full - 1, ' '));
}

// The name and as much else as the width has room for, the most useful first.
std::string text_of(line const& one, std::size_t width, std::size_t name_width) {
  constexpr std::size_t gap = 2, shortest_bar = 8, longest_bar = 30;
  auto const share = percent(one);
  auto const text = fitted(one.name, std::min(name_width, width));
  auto room = width - columns(text);
  auto const take = [&room](std::size_t columns_of_it) {
    if (room < gap + columns_of_it) return false;
    room -= gap + columns_of_it;
    return true;
  };
  auto const field = [&](std::string const& of, std::size_t columns_of_it) {
    return take(columns_of_it) ? fmt::format("{:>{}}", of, gap + columns_of_it) : "";
  };
  if (one.waiting) return without_end(text + field("waiting", 7));

  auto const share_text = field(share ? fmt::format("{}%", *share) : "", 3);
  auto const left_text = field(one.left ? human_time(*one.left) + " left" : "", 10);
  bool const has_bar = take(shortest_bar + 2);
  auto const rows_text = field(human_count(one.rows) + " rows", 10);
  auto const rate_text = field(one.bytes_per_second ? human_bytes(*one.bytes_per_second) + "/s" : "", 10);
  auto const bytes_text = field(human_bytes(static_cast<double>(one.bytes)), 8);
  auto const bar_text =
      has_bar ? std::string(gap, ' ') + bar_of(share, std::min(shortest_bar + room, longest_bar)) : "";
  return without_end(text + bar_text + share_text + rows_text + bytes_text + rate_text + left_text);
}

}  // namespace

void rate_meter::measure(std::uint64_t count, time now) {
  if (!since_ || count < count_) {  // less than before: it was started over
    since_ = now;
    count_ = count;
    return;
  }
  seconds const passed = now - *since_;
  if (passed < shortest_sample) return;
  auto const sample = static_cast<double>(count - count_) / passed.count();
  auto const weight = 1 - std::exp(-passed / memory);
  rate_ = rate_ ? *rate_ + (sample - *rate_) * weight : sample;
  since_ = now;
  count_ = count;
}

void progress_view::show(pipeline::copy_snapshot const& snapshot, time now) {
  auto& copy = pipelines_[snapshot.pipeline];
  std::uint64_t grown = 0;
  std::vector<entry> tables;
  tables.reserve(snapshot.tables.size());
  for (auto const& facts : snapshot.tables) {
    auto const name_of = [](entry const& one) -> auto const& { return one.facts.name; };
    auto known = copy.tables.begin() + static_cast<std::ptrdiff_t>(std::min(tables.size(), copy.tables.size()));
    if (known == copy.tables.end() || known->facts.name != facts.name) {  // mostly they come as they came before
      known = std::ranges::find(copy.tables, facts.name, name_of);
    }
    auto& one = tables.emplace_back(known == copy.tables.end() ? entry{} : std::move(*known));
    if (known != copy.tables.end() && facts.bytes > one.facts.bytes) grown += facts.bytes - one.facts.bytes;
    one.facts = facts;
    one.meter.measure(facts.bytes, now);
  }
  copy.tables = std::move(tables);
  copy.grown += grown;
  copy.meter.measure(copy.grown, now);
}

void progress_view::done(std::string_view pipeline) {
  if (auto const found = pipelines_.find(pipeline); found != pipelines_.end()) pipelines_.erase(found);
}

progress_view::table progress_view::view_of(std::string_view pipeline, entry const& one) const {
  auto const rate = one.meter.rate();
  return {.name = printable(pipelines_.size() > 1 ? fmt::format("{}: {}", pipeline, one.facts.name) : one.facts.name),
          .facts = one.facts,
          .bytes_per_second = rate,
          .left = time_left(one.facts.bytes, one.facts.bytes_total, rate)};
}

std::vector<progress_view::table> progress_view::tables() const {
  std::vector<table> list;
  for (auto const state : {table_copy::running, table_copy::waiting}) {
    for (auto const& [name, copy] : pipelines_) {
      for (auto const& one : copy.tables) {
        if (one.facts.state == state) list.push_back(view_of(name, one));
      }
    }
  }
  return list;
}

std::vector<std::string> progress_view::render(std::size_t width, std::size_t most_tables) const {
  if (pipelines_.empty()) return {};
  line whole;
  std::size_t count = 0;
  for (auto const& [name, copy] : pipelines_) {
    for (auto const& one : copy.tables) {
      whole.rows += one.facts.rows;
      whole.bytes += one.facts.bytes;
      whole.bytes_total += std::max(one.facts.bytes, one.facts.bytes_total);
    }
    count += copy.tables.size();
    if (auto const rate = copy.meter.rate()) whole.bytes_per_second = whole.bytes_per_second.value_or(0) + *rate;
  }
  whole.left = time_left(whole.bytes, whole.bytes_total, whole.bytes_per_second);

  auto const pending = tables();
  whole.name = fmt::format("{} of {} tables", count - pending.size(), count);
  auto const shown = std::min(pending.size(), most_tables);
  auto name_width = columns(whole.name);
  for (std::size_t i = 0; i < shown; ++i) name_width = std::max(name_width, columns(pending[i].name) + 2);
  name_width = std::min(name_width, std::max<std::size_t>(width / 3, columns(whole.name)));

  std::vector<std::string> lines = {text_of(whole, width, name_width)};
  for (std::size_t i = 0; i < shown; ++i) {
    auto const& one = pending[i];
    lines.push_back(text_of({.name = "  " + one.name,
                             .rows = one.facts.rows,
                             .bytes = one.facts.bytes,
                             .bytes_total = one.facts.bytes_total,
                             .bytes_per_second = one.bytes_per_second,
                             .left = one.left,
                             .waiting = one.facts.state == table_copy::waiting},
                            width, name_width));
  }
  if (shown < pending.size()) {
    lines.push_back(without_end(fitted(fmt::format("  and {} more", pending.size() - shown), width)));
  }
  return lines;
}

}  // namespace etl::cli
