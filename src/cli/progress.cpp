#include "cli/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace etl::cli {
namespace {

using std::chrono::milliseconds;

constexpr auto shortest_pause = milliseconds(100);
constexpr auto log_interval = std::chrono::seconds(10);
constexpr std::size_t most_tables = 8;

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    auto const written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nowhere left to complain
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

terminal_progress::size size_of_standard_error() {
  winsize window{};
  terminal_progress::size size;
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && window.ws_row > 0) {
    size = {.columns = window.ws_col, .rows = window.ws_row};
  }
  return size;
}

}  // namespace

terminal_progress::terminal_progress(int descriptor, std::function<size()> terminal_size, steady_clock now)
    : descriptor_(descriptor), terminal_size_(std::move(terminal_size)), now_(std::move(now)) {}

terminal_progress::~terminal_progress() { write_all(descriptor_, erased()); }

void terminal_progress::show(pipeline::copy_snapshot const& now) {
  std::scoped_lock const lock(mutex_);
  auto const time = now_();
  view_.show(now, time);
  if (drawn_ && time - *drawn_ < shortest_pause) return;
  drawn_ = time;
  draw("");
}

void terminal_progress::done(std::string_view pipeline) {
  std::scoped_lock const lock(mutex_);
  view_.done(pipeline);
  draw("");
}

void terminal_progress::take(std::string_view line) {
  std::scoped_lock const lock(mutex_);
  draw(line);
}

std::string terminal_progress::erased() const { return lines_ == 0 ? "" : fmt::format("\r\x1b[{}A\x1b[J", lines_); }

void terminal_progress::draw(std::string_view above) {
  auto const [columns, rows] = terminal_size_();
  // One row is the cursor's, two are those around the tables.
  auto const lines = view_.render(columns, std::min(most_tables, rows > 3 ? rows - 3 : 0));
  auto text = erased().append(above);
  // Without line wrap, so that a line stays one row even where characters are wider than counted.
  if (!lines.empty()) text += fmt::format("\x1b[?7l{}\n\x1b[?7h", fmt::join(lines, "\n"));
  lines_ = lines.size();
  write_all(descriptor_, text);
}

void logged_progress::show(pipeline::copy_snapshot const& now) {
  std::scoped_lock const lock(mutex_);
  auto const time = now_();
  auto const [found, begins] = copies_.try_emplace(now.pipeline);
  auto& copy = found->second;
  copy.view.show(now, time);
  if (begins) copy.logged = time;
  if (time - copy.logged < log_interval) return;
  copy.logged = time;
  for (auto const& table : copy.view.tables()) {
    if (table.facts.state != pipeline::table_copy::running) break;
    log::info("copying", {{"pipeline", now.pipeline},
                          {"table", table.name},
                          {"rows", static_cast<std::int64_t>(table.facts.rows)},
                          {"bytes", static_cast<std::int64_t>(table.facts.bytes)},
                          {"bytes_total", static_cast<std::int64_t>(table.facts.bytes_total)},
                          {"bytes_per_second", static_cast<std::int64_t>(table.bytes_per_second.value_or(0))},
                          {"seconds_left", table.left ? table.left->count() : std::int64_t{-1}}});
  }
}

void logged_progress::done(std::string_view pipeline) {
  std::scoped_lock const lock(mutex_);
  if (auto const found = copies_.find(pipeline); found != copies_.end()) copies_.erase(found);
}

std::unique_ptr<pipeline::progress_sink> make_progress(bool plain) {
  auto const* terminal = std::getenv("TERM");
  bool const can = terminal != nullptr && std::string_view(terminal) != "dumb" && ::isatty(STDERR_FILENO) == 1;
  if (plain || !can) return std::make_unique<logged_progress>(std::chrono::steady_clock::now);
  return std::make_unique<terminal_progress>(STDERR_FILENO, size_of_standard_error, std::chrono::steady_clock::now);
}

}  // namespace etl::cli
