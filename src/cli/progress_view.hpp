#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/progress.hpp"

namespace etl::cli {

// Measures a rate from a counter that is looked at now and then: an exponential mean over the last few seconds.
class rate_meter {
 public:
  using time = std::chrono::steady_clock::time_point;

  // `count` so far. The first call only sets where to begin, so that what an earlier run did does not count.
  void measure(std::uint64_t count, time now);
  // Per second; nothing until it has seen half a second.
  [[nodiscard]] std::optional<double> rate() const { return rate_; }

 private:
  std::optional<time> since_;
  std::uint64_t count_ = 0;
  std::optional<double> rate_;
};

// How far copies are, as numbers and as lines of text. Knows no clock and no terminal; not thread-safe.
class progress_view {
 public:
  using time = rate_meter::time;

  struct table {
    std::string name;  // with its pipeline when there are several; without control characters
    pipeline::table_progress facts;
    std::optional<double> bytes_per_second;
    std::optional<std::chrono::seconds> left;
  };

  void show(pipeline::copy_snapshot const& snapshot, time now);
  void done(std::string_view pipeline);
  [[nodiscard]] bool empty() const { return pipelines_.empty(); }

  // The tables that are not done: running ones first, and otherwise in the order of their pipelines' snapshots.
  [[nodiscard]] std::vector<table> tables() const;
  // At most `most_tables` + 2 lines of at most `width` columns: one for the whole, one a table, one for the rest.
  [[nodiscard]] std::vector<std::string> render(std::size_t width, std::size_t most_tables) const;

 private:
  struct entry {
    pipeline::table_progress facts;
    rate_meter meter;
  };
  struct copy {
    std::vector<entry> tables;
    std::uint64_t grown = 0;  // bytes that were read since the display began
    rate_meter meter;         // of them
  };

  [[nodiscard]] table view_of(std::string_view pipeline, entry const& one) const;

  std::map<std::string, copy, std::less<>> pipelines_;
};

}  // namespace etl::cli
