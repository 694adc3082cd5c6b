#include "base/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace etl::log {
namespace {

struct settings {
  level least = level::info;
  bool json = false;
  bool colour = false;
  line_taker* taker = nullptr;
};
settings current;

constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
constexpr std::string_view colours[] = {"\x1b[2m", "", "\x1b[33m", "\x1b[31m"};

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string value_text(field const& f, bool json) {
  if (auto const* text = std::get_if<std::string_view>(&f.value)) {
    bool const plain = !json && !text->empty() && text->find_first_of(" \"=\n\t\\") == std::string_view::npos;
    return plain ? std::string(*text) : quoted(*text);
  }
  if (auto const* number = std::get_if<std::int64_t>(&f.value)) return fmt::format("{}", *number);
  if (auto const* number = std::get_if<double>(&f.value)) return fmt::format("{:.6g}", *number);
  return std::get<bool>(f.value) ? "true" : "false";
}

template <class Fields>
void emit(level wanted, std::string_view message, Fields const& fields) {
  auto const now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  auto const second = std::chrono::floor<std::chrono::seconds>(now);
  auto const millisecond = (now - second).count();  // fmt 9 prints a time_point's whole seconds only
  auto const index = static_cast<std::size_t>(wanted);
  std::string line;
  if (current.json) {
    line = fmt::format(R"({{"time":"{:%FT%T}.{:03}Z","level":"{}","message":{})", second, millisecond, names[index],
                       quoted(message));
    for (auto const& f : fields) line += fmt::format(",{}:{}", quoted(f.key), value_text(f, true));
    line += "}\n";
  } else {
    line = fmt::format("{:%F %T}.{:03}Z {}{:<7}{} {}", second, millisecond, current.colour ? colours[index] : "",
                       names[index], current.colour ? "\x1b[0m" : "", message);
    for (auto const& f : fields) line += fmt::format(" {}={}", f.key, value_text(f, false));
    line += '\n';
  }
  if (current.taker != nullptr) return current.taker->take(line);
  for (std::size_t done = 0; done < line.size();) {
    auto const written = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (written <= 0) return;  // nowhere left to complain
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

void set_up(level least, format shape) {
  bool const terminal = ::isatty(STDERR_FILENO) == 1;
  current.least = least;
  current.json = shape == format::json || (shape == format::automatic && !terminal);
  current.colour = terminal && !current.json && std::getenv("NO_COLOR") == nullptr;
}

void give_lines_to(line_taker* taker) { current.taker = taker; }

bool enabled(level wanted) { return wanted >= current.least; }

void write(level wanted, std::string_view message, std::initializer_list<field> fields) {
  if (enabled(wanted)) emit(wanted, message, fields);
}

void write(level wanted, std::string_view message, error const& failure, std::initializer_list<field> fields) {
  if (!enabled(wanted)) return;
  std::string const text = failure.to_text();
  std::vector<field> all(fields);
  all.push_back({"code", failure.code});
  all.push_back({"error", std::string_view(text)});
  if (enabled(level::debug) && !failure.server_text.empty()) {
    all.push_back({"server", std::string_view(failure.server_text)});
  }
  emit(wanted, message, all);
}

}  // namespace etl::log
