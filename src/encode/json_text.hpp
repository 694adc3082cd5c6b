#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Texts as RFC 8259 wants them. The writers take an output with `write_slack` bytes more than they may need, since they
// store whole blocks; they return the end of what they wrote.
namespace etl::encode {

inline constexpr std::size_t write_slack = 16;
inline constexpr std::size_t longest_escape = 6;  // \u001f

// The inside of a JSON string: at most longest_escape times the text, exactly escaped_size(). Sets `high` when a byte
// is not ASCII, in which case the caller has to see to valid_utf8().
char* write_escaped(char* out, std::string_view text, bool& high);
[[nodiscard]] std::size_t escaped_size(std::string_view text);
// A json value as it is, but on one line: control characters, which valid JSON has between tokens only, become spaces.
char* write_on_one_line(char* out, std::string_view json, bool& high);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool valid_utf8(std::string_view text);

// A JSON string with its quotes.
[[nodiscard]] std::string quote_json(std::string_view text);

}  // namespace etl::encode
