#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "cli/progress_view.hpp"
#include "pipeline/progress.hpp"

namespace etl::cli {

using steady_clock = std::function<std::chrono::steady_clock::time_point()>;

// Draws the copies' progress in place at the bottom of a terminal, and puts the log's lines above it. Draws when it is
// told something, ten times a second at most. Safe from every thread.
class terminal_progress final : public pipeline::progress_sink, public log::line_taker {
 public:
  struct size {
    std::size_t columns = 80;
    std::size_t rows = 24;
  };

  // Writes to `descriptor`, which is the caller's.
  terminal_progress(int descriptor, std::function<size()> terminal_size, steady_clock now);
  terminal_progress(terminal_progress const&) = delete;
  terminal_progress& operator=(terminal_progress const&) = delete;
  ~terminal_progress() override;

  void show(pipeline::copy_snapshot const& now) override;
  void done(std::string_view pipeline) override;
  void take(std::string_view line) override;

 private:
  // What removes the lines that stand there.
  [[nodiscard]] std::string erased() const;
  // Replaces them by `above` and what the view says now.
  void draw(std::string_view above);

  std::mutex mutex_;
  int descriptor_;
  std::function<size()> terminal_size_;
  steady_clock now_;
  progress_view view_;
  std::size_t lines_ = 0;  // that stand on the terminal
  std::optional<std::chrono::steady_clock::time_point> drawn_;
};

// Logs a line for each table that is being copied, every ten seconds. Safe from every thread.
class logged_progress final : public pipeline::progress_sink {
 public:
  explicit logged_progress(steady_clock now) : now_(std::move(now)) {}

  void show(pipeline::copy_snapshot const& now) override;
  void done(std::string_view pipeline) override;

 private:
  struct copy {
    progress_view view;
    std::chrono::steady_clock::time_point logged;
  };

  std::mutex mutex_;
  steady_clock now_;
  std::map<std::string, copy, std::less<>> copies_;
};

// For standard error: in place when that is a terminal which can, as logged lines otherwise. `plain` asks for lines.
[[nodiscard]] std::unique_ptr<pipeline::progress_sink> make_progress(bool plain);

}  // namespace etl::cli
