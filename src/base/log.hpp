#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

namespace etl {

struct error;

// Logging: one line an event, on standard error; text for a person on a terminal, one JSON object a line otherwise.
// Never give it a secret or the contents of a row. Safe from every thread; a line is one write(2).
namespace log {

enum class level : std::uint8_t { debug, info, warning, error, off };
enum class format : std::uint8_t { automatic, text, json };

struct field {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, double, bool> value;
};

// Before the first thread starts.
void set_up(level least, format shape);
[[nodiscard]] bool enabled(level wanted);
// Takes finished lines in place of standard error: for a display that keeps lines above itself. Called from any thread.
class line_taker {
 public:
  virtual ~line_taker() = default;
  // `line` ends in a line feed.
  virtual void take(std::string_view line) = 0;
};
// While no other thread logs; nullptr for standard error again. Borrowed until then.
void give_lines_to(line_taker* taker);
// `message` is a constant sentence ("slot created"); what varies goes into fields.
void write(level wanted, std::string_view message, std::initializer_list<field> fields = {});
// The error's paragraph and code as fields; its server_text only at debug level.
void write(level wanted, std::string_view message, error const& failure, std::initializer_list<field> fields = {});

inline void debug(std::string_view message, std::initializer_list<field> fields = {}) {
  if (enabled(level::debug)) write(level::debug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<field> fields = {}) {
  write(level::info, message, fields);
}
inline void warning(std::string_view message, std::initializer_list<field> fields = {}) {
  write(level::warning, message, fields);
}

}  // namespace log
}  // namespace etl
