#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/pipeline_config.hpp"

namespace etl::config {

enum class key_type : std::uint8_t {
  text,
  secret,
  boolean,
  integer,
  size,      // bytes: an integer, or a text such as "16MiB"
  duration,  // a text such as "10s"
  choice,    // one of a few texts
  tables,
  settings,  // names and texts, each as secret has them
  columns,   // names of columns, each with a table of keys: column_config
};

// std::int64_t: integer, bytes, or the index of a choice.
using key_value = std::variant<bool, std::int64_t, std::string, secret, std::chrono::milliseconds, table_filter,
                               std::map<std::string, secret>, std::vector<column_config>>;

// Which destinations a key belongs to: a set.
class owners {
 public:
  constexpr owners() = default;  // every one
  constexpr owners(std::initializer_list<destination_type> types) : bits_(0) {
    for (auto const type : types) bits_ |= bit(type);
  }
  [[nodiscard]] constexpr bool has(destination_type type) const { return (bits_ & bit(type)) != 0; }
  [[nodiscard]] constexpr bool every() const { return bits_ == all; }

 private:
  static constexpr unsigned all = ~0u;
  static constexpr unsigned bit(destination_type type) { return 1u << static_cast<unsigned>(type); }
  unsigned bits_ = all;
};

// One key of the file. The parser knows a key from here and from nowhere else.
struct key {
  std::string_view path;  // "copy.workers"
  key_type type = key_type::text;
  std::string_view summary;   // a sentence without its full stop
  std::string_view fallback;  // the default, as TOML; or in words, when it depends on other things
  bool fallback_is_toml = true;
  bool required = false;  // by those it belongs to
  owners of = {};
  std::int64_t least = 0;  // integer, size, duration (milliseconds)
  std::int64_t most = 0;
  std::span<std::string_view const> choices = {};
  // What the text should look like, or nothing when it is fine. Never repeats the text.
  std::string_view (*complaint)(std::string_view text) = nullptr;
  void (*set)(pipeline_config& into, key_value&& value) = nullptr;
};

// In the order of the manual page.
[[nodiscard]] std::span<key const> keys();
// Nothing when there is no such key.
[[nodiscard]] key const* find_key(std::string_view path);
// The type's name in the file.
[[nodiscard]] std::string_view name_of(destination_type type);
// "integer from 1 to 64", "auto, on or off": the type and its bounds, as the manual page and messages say it.
[[nodiscard]] std::string describe_type(key const& which);

}  // namespace etl::config
