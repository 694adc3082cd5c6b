#include "config/load.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "config/keys.hpp"
#include "config/nearest.hpp"
#include "config/quantity.hpp"

namespace etl::config {
namespace {

constexpr std::size_t largest_file = 1 << 20;
constexpr std::size_t largest_secret = 64 << 10;

struct file_text {
  std::string text;
  mode_t mode = 0;
};

error unreadable(std::string why) {
  return {.kind = severity::config, .code = "config.unreadable", .message = std::move(why)};
}
error unreadable(int code) { return unreadable(std::system_category().message(code)); }

// The whole file; the error's message says only why it could not be read. More than `most` bytes are refused, so that a
// device cannot fill the memory.
result<file_text> read_file(std::string const& path, std::size_t most) {
  int const descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return unreadable(errno);
  file_text read;
  struct stat about{};
  int failure = ::fstat(descriptor, &about) == 0 ? 0 : errno;
  read.mode = about.st_mode;
  while (failure == 0 && read.text.size() <= most) {
    char part[16384];
    auto const got = ::read(descriptor, part, sizeof part);
    if (got == 0) break;
    if (got > 0) {
      read.text.append(part, static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      failure = errno;
    }
  }
  ::close(descriptor);
  if (failure != 0) return unreadable(failure);
  if (read.text.size() > most)
    return unreadable(fmt::format("it is larger than {}", size_text(static_cast<std::int64_t>(most))));
  return read;
}

bool others_may_read(mode_t mode) { return (mode & S_IROTH) != 0; }
bool group_or_others_may_read(mode_t mode) { return (mode & (S_IRGRP | S_IROTH)) != 0; }

// A URI with a password before its @, or a password among its parameters or pairs.
bool holds_password(std::string_view connection) {
  if (connection.find("password") != std::string_view::npos) return true;
  auto const scheme = connection.find("://");
  if (scheme == std::string_view::npos) return false;
  auto const authority = connection.substr(scheme + 3, connection.find_first_of("/?#", scheme + 3) - (scheme + 3));
  auto const at = authority.rfind('@');
  return at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos;
}

std::string_view found_type(toml::node const& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string_view wanted_of(key_type type) {
  switch (type) {
    case key_type::size:
      return R"(an integer of bytes, or a text such as "16MiB")";
    case key_type::duration:
      return R"(a text such as "10s", "500ms" or "5min")";
    case key_type::secret:
      return R"(a text, { env = "VARIABLE" } or { file = "path" })";
    case key_type::tables:
      return R"(an array of table names, or { include = […], exclude = […] })";
    case key_type::settings:
      return R"(a table of texts, such as { path = "…", token = { env = "VARIABLE" } })";
    case key_type::columns:
      return R"(a table of columns, such as { "public.t.c" = { on_unrepresentable = "null" } })";
    case key_type::boolean:
      return "true or false";
    case key_type::integer:
      return "an integer";
    case key_type::text:
    case key_type::choice:
      break;
  }
  return "a text";
}

// "file or duckdb"
std::string names_of(owners of) {
  std::string names;
  auto const types = find_key("destination.type")->choices;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (of.has(static_cast<destination_type>(i))) names += (names.empty() ? "" : " or ") + std::string(types[i]);
  }
  return names;
}

std::string joined(std::string_view section, std::string_view name) {
  return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
}

std::string in_quotes(std::string_view text) { return fmt::format("\"{}\"", text); }

// schema.table.column or table.column, spelled as source.tables spells names.
result<column_config> parse_column(std::string_view text) {
  auto const bad = [&](std::string_view why) {
    return error{.kind = severity::config,
                 .code = "config.column_name",
                 .message = fmt::format("'{}' does not name a column: {}", text, why),
                 .hint = R"(write schema.table.column as in SQL, as in [destination.columns."sales.orders.price"])"};
  };
  std::size_t dot = std::string_view::npos;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '.' && !quoted) dot = i;
  }
  if (dot == std::string_view::npos) return bad("it has no table");
  auto const table = table_pattern::parse(text.substr(0, dot));
  auto const column = table_pattern::parse(text.substr(dot + 1));
  if (!table || !column) return bad("a name in it is none");
  if (!table->exact() || !column->exact()) return bad("it has a * outside of quotes");
  return column_config{table->schema(), table->name(), column->name()};
}

using places = std::map<std::string, toml::source_position, std::less<>>;

// Reads one file; every member function notes what is wrong and goes on.
class reader {
 public:
  reader(std::string const& file, environment const& variables, bool exposed)
      : file_(file), variables_(variables), exposed_(exposed) {
    config_.file = file;
  }

  parsed_file read(std::string_view text) {
    try {
      toml::table const root = toml::parse(text, file_);
      walk(root, "");
      finish(root);
    } catch (toml::parse_error const& failure) {
      complain({}, failure.source().begin, "config.syntax", syntax_message(failure.description()),
               "texts need quotes around them; https://toml.io says how such a file is written");
    }
    std::ranges::sort(outcome_.problems, {}, [](problem const& p) { return std::tie(p.line, p.column, p.message); });
    if (outcome_.problems.empty()) outcome_.pipeline = std::move(config_);
    return std::move(outcome_);
  }

  // Where the keys that the file has stand.
  [[nodiscard]] places const& seen() const { return seen_; }

 private:
  // The library says what it stumbled over, which may be a password without quotes around it. What it expected is one
  // character or two in quotes, and may stay.
  static std::string syntax_message(std::string_view description) {
    description = description.substr(0, description.find(", saw"));
    for (auto open = description.find('\''); open != std::string_view::npos;) {
      auto const close = description.find('\'', open + 1);
      if (close == std::string_view::npos || close - open > 3) {
        description = description.substr(0, description.find_last_not_of(' ', open - 1) + 1);
        break;
      }
      open = description.find('\'', close + 1);
    }
    return std::string(description);
  }

  problem& note(std::vector<problem>& list, toml::source_position at, std::string_view code, std::string message,
                std::string hint) {
    return list.emplace_back(problem{.code = code,
                                     .file = file_,
                                     .line = static_cast<std::uint32_t>(at.line),
                                     .column = static_cast<std::uint32_t>(at.column),
                                     .message = std::move(message),
                                     .hint = std::move(hint)});
  }
  void complain(std::string_view path, toml::source_position at, std::string_view code, std::string message,
                std::string hint = {}) {
    if (!path.empty()) bad_.emplace(path);
    note(outcome_.problems, at, code, std::move(message), std::move(hint));
  }
  void wrong_type(std::string_view path, toml::node const& node, std::string_view wanted) {
    complain(path, node.source().begin, "config.wrong_type",
             fmt::format("{} wants {}, not {}", path, wanted, found_type(node)));
  }
  void bad_value(std::string_view path, toml::node const& node, std::string message, std::string hint = {}) {
    complain(path, node.source().begin, "config.bad_value", std::move(message), std::move(hint));
  }

  void walk(toml::table const& table, std::string_view section) {
    for (auto const& [name, node] : table) {
      auto const path = joined(section, name.str());
      bool const is_section = std::ranges::any_of(keys(), [&](key const& k) { return k.path.starts_with(path + "."); });
      if (auto const* which = find_key(path)) {
        seen_.emplace(path, node.source().begin);
        if (auto value = convert(*which, node)) which->set(config_, std::move(*value));
      } else if (!is_section) {
        unknown_key(section, path, name);
      } else if (auto const* inner = node.as_table()) {
        walk(*inner, path);
      } else {
        complain(path, node.source().begin, "config.wrong_type",
                 fmt::format("{0} wants a table, not {1}", path, found_type(node)), fmt::format("write [{}]", path));
      }
    }
  }

  void unknown_key(std::string_view section, std::string const& path, toml::key const& name) {
    std::vector<std::string_view> siblings;
    std::vector<std::string_view> elsewhere;
    for (auto const& k : keys()) {
      auto const dot = k.path.rfind('.');
      auto const leaf = dot == std::string_view::npos ? k.path : k.path.substr(dot + 1);
      auto const owner = dot == std::string_view::npos ? std::string_view() : k.path.substr(0, dot);
      if (owner == section) siblings.push_back(leaf);
      if (section.empty() && !owner.empty()) siblings.push_back(owner);
      if (leaf == name.str()) elsewhere.push_back(k.path);
    }
    std::string hint;
    if (auto const close = nearest(name.str(), siblings)) {
      hint = fmt::format("did you mean {}?", joined(section, *close));
      meant_.insert(joined(section, *close));
    } else if (!elsewhere.empty()) {
      hint = fmt::format("did you mean {}?", fmt::join(elsewhere, " or "));
    } else {
      hint = "etl-stream.toml(5) describes every key";
    }
    complain({}, name.source().begin, "config.unknown_key", fmt::format("unknown key {}", path), std::move(hint));
  }

  std::optional<key_value> convert(key const& which, toml::node const& node) {
    switch (which.type) {
      case key_type::secret:
        return secret_value(which, node);
      case key_type::tables:
        return tables_value(which.path, node);
      case key_type::settings:
        return settings_value(which, node);
      case key_type::columns:
        return columns_value(which, node);
      case key_type::boolean:
        if (auto const value = node.value_exact<bool>()) return *value;
        break;
      case key_type::integer:
        if (auto const value = node.value_exact<std::int64_t>()) return in_bounds(which, node, *value);
        break;
      case key_type::size:
        if (auto const value = node.value_exact<std::int64_t>()) return in_bounds(which, node, *value);
        if (auto const text = node.value_exact<std::string>()) {
          if (auto const bytes = parse_size(*text)) return in_bounds(which, node, *bytes);
          bad_value(which.path, node, fmt::format("{} is {}, which is not a size", which.path, in_quotes(*text)),
                    R"(write a whole number and a unit, as in "512KiB", "16MiB" or "1GiB")");
          return std::nullopt;
        }
        break;
      case key_type::duration:
        if (auto const text = node.value_exact<std::string>()) {
          if (auto const time = parse_duration(*text)) {
            if (!in_bounds(which, node, time->count())) return std::nullopt;
            return *time;
          }
          bad_value(which.path, node, fmt::format("{} is {}, which is not a duration", which.path, in_quotes(*text)),
                    R"(write a whole number and a unit, as in "500ms", "10s", "5min" or "1h")");
          return std::nullopt;
        }
        break;
      case key_type::choice:
        if (auto const text = node.value_exact<std::string>()) return chosen(which, node, *text);
        break;
      case key_type::text:
        if (auto text = node.value_exact<std::string>()) return checked(which, node, std::move(*text));
        break;
    }
    wrong_type(which.path, node, wanted_of(which.type));
    return std::nullopt;
  }

  std::optional<key_value> in_bounds(key const& which, toml::node const& node, std::int64_t value) {
    if (value >= which.least && value <= which.most) return value;
    bad_value(which.path, node, fmt::format("{} is out of bounds", which.path),
              fmt::format("write {} {}", which.type == key_type::integer ? "an" : "a", describe_type(which)));
    return std::nullopt;
  }

  std::optional<key_value> chosen(key const& which, toml::node const& node, std::string const& text) {
    auto const found = std::ranges::find(which.choices, text);
    if (found != which.choices.end()) return found - which.choices.begin();
    auto const close = nearest(text, which.choices);
    bad_value(which.path, node,
              fmt::format("{} is {}, but takes {}", which.path, in_quotes(text), describe_type(which)),
              close ? fmt::format("did you mean {}?", in_quotes(*close)) : "");
    return std::nullopt;
  }

  std::optional<key_value> checked(key const& which, toml::node const& node, std::string text) {
    auto const wanted = which.complaint ? which.complaint(text) : "";
    if (wanted.empty() && text.find('\0') == std::string::npos) return std::move(text);
    bad_value(which.path, node, fmt::format("{} is {}, but takes {}", which.path, in_quotes(text), wanted));
    return std::nullopt;
  }

  std::optional<key_value> secret_value(key const& which, toml::node const& node) {
    auto const path = which.path;
    std::optional<std::string> text;
    if (auto literal = node.value_exact<std::string>()) {
      text = std::move(literal);
      if (exposed_ && (!path.ends_with(".url") || holds_password(*text))) {
        note(outcome_.warnings, node.source().begin, "config.exposed_secret",
             fmt::format("{} holds a password, and others than the owner can read this file", path),
             fmt::format(
                 R"(write {} = {{ env = "VARIABLE" }} or {{ file = "path" }}, or take the right away: chmod go= {})",
                 path.substr(path.rfind('.') + 1), file_));
      }
    } else if (auto const* from = node.as_table(); from != nullptr && from->size() == 1) {
      auto const only = from->begin();  // what it points to lives in it
      auto const& [kind, place] = *only;
      auto const value = place.value_exact<std::string>();
      if (kind.str() != "env" && kind.str() != "file") {
        complain(path, kind.source().begin, "config.unknown_key", fmt::format("unknown key {}.{}", path, kind.str()),
                 fmt::format("{} takes {}", path, wanted_of(which.type)));
        return std::nullopt;
      }
      if (!value) {
        wrong_type(path, place, fmt::format("a text as its {}", kind.str()));
        return std::nullopt;
      }
      text = kind.str() == "env" ? from_environment(path, place, *value) : from_file(path, place, *value);
      if (!text) return std::nullopt;
    } else {
      wrong_type(path, node, wanted_of(which.type));
      return std::nullopt;
    }
    auto const wanted = which.complaint ? which.complaint(*text) : "";
    if (wanted.empty() && text->find('\0') == std::string::npos) return secret(std::move(*text));
    bad_value(path, node, fmt::format("{} takes {}", path, wanted.empty() ? "a text without NUL" : wanted));
    return std::nullopt;
  }

  std::optional<std::string> from_environment(std::string_view path, toml::node const& node, std::string const& name) {
    auto value = variables_(name);
    if (value && !value->empty()) return value;
    complain(path, node.source().begin, "config.no_secret",
             fmt::format("{} is to come from the environment variable {}, which is {}", path, name,
                         value ? "empty" : "not set"),
             "set it for this process");
    return std::nullopt;
  }

  std::optional<std::string> from_file(std::string_view path, toml::node const& node, std::string const& name) {
    auto const place = absolute(name);
    auto read = read_file(place, largest_secret);
    if (!read) {
      complain(path, node.source().begin, "config.no_secret",
               fmt::format("{} is to come from {}, which cannot be read: {}", path, place, read.error().message),
               "a relative path is taken from this file's directory");
      return std::nullopt;
    }
    if (others_may_read(read->mode)) {
      note(outcome_.warnings, node.source().begin, "config.exposed_secret",
           fmt::format("everyone can read {}, from which {} comes", place, path), fmt::format("chmod o= {}", place));
    }
    auto& text = read->text;
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    if (!text.empty()) return std::move(text);
    complain(path, node.source().begin, "config.no_secret",
             fmt::format("{} is to come from {}, which is empty", path, place));
    return std::nullopt;
  }

  std::optional<key_value> settings_value(key const& which, toml::node const& node) {
    auto const* const table = node.as_table();
    if (table == nullptr) {
      wrong_type(which.path, node, wanted_of(which.type));
      return std::nullopt;
    }
    std::map<std::string, secret> settings;
    bool fine = true;
    for (auto const& [name, inner] : *table) {
      auto const path = joined(which.path, name.str());
      auto value = secret_value({.path = path, .type = key_type::secret}, inner);
      fine = fine && value;
      if (value) settings.emplace(name.str(), std::get<secret>(std::move(*value)));
    }
    if (!fine) return std::nullopt;
    return settings;
  }

  std::optional<key_value> columns_value(key const& which, toml::node const& node) {
    auto const* const table = node.as_table();
    if (table == nullptr) {
      wrong_type(which.path, node, wanted_of(which.type));
      return std::nullopt;
    }
    constexpr std::string_view only_key = "on_unrepresentable";
    std::vector<column_config> columns;
    bool fine = true;
    for (auto const& [name, inner] : *table) {
      auto column = parse_column(name.str());
      auto const* const keys_of = inner.as_table();
      if (!column) {
        complain(which.path, name.source().begin, column.error().code,
                 fmt::format("{}: {}", which.path, column.error().message), column.error().hint);
        fine = false;
        continue;
      }
      if (keys_of == nullptr || keys_of->empty()) {
        wrong_type(which.path, inner, wanted_of(which.type));
        fine = false;
        continue;
      }
      for (auto const& [key_name, value] : *keys_of) {
        auto const path = fmt::format("{}.'{}'.{}", which.path, name.str(), key_name.str());
        auto const text = value.value_exact<std::string>();
        if (key_name.str() != only_key) {
          complain(which.path, key_name.source().begin, "config.unknown_key", fmt::format("unknown key {}", path),
                   fmt::format("a column takes {}", only_key));
          fine = false;
        } else if (!text) {
          wrong_type(which.path, value, "a text as its on_unrepresentable");
          fine = false;
        } else if (auto const policy =
                       chosen({.path = path, .type = key_type::choice, .choices = which.choices}, value, *text)) {
          column->on_unrepresentable = static_cast<unrepresentable>(std::get<std::int64_t>(*policy));
        } else {
          fine = false;
        }
      }
      columns.push_back(std::move(*column));
    }
    if (!fine) return std::nullopt;
    return columns;
  }

  std::optional<key_value> tables_value(std::string_view path, toml::node const& node) {
    table_filter filter;
    bool fine = true;
    if (auto const* list = node.as_array()) {
      fine = add_patterns(path, *list, true, true, filter);
    } else if (auto const* parts = node.as_table()) {
      for (auto const& [name, inner] : *parts) {
        bool const include = name.str() == "include";
        if (!include && name.str() != "exclude") {
          complain(path, name.source().begin, "config.unknown_key", fmt::format("unknown key {}.{}", path, name.str()),
                   fmt::format("{} takes {}", path, wanted_of(key_type::tables)));
          fine = false;
        } else if (auto const* patterns = inner.as_array()) {
          fine &= add_patterns(joined(path, name.str()), *patterns, include, false, filter);
        } else {
          wrong_type(joined(path, name.str()), inner, "an array of table names");
          fine = false;
        }
      }
    } else {
      wrong_type(path, node, wanted_of(key_type::tables));
      return std::nullopt;
    }
    if (!fine) return std::nullopt;
    return filter;
  }

  // `marks`: a leading ! excludes.
  bool add_patterns(std::string_view path, toml::array const& list, bool include, bool marks, table_filter& filter) {
    bool fine = true;
    if (list.empty()) {
      bad_value(path, list, fmt::format("{} is empty", path), "leave the key out to take every table");
      fine = false;
    }
    for (auto const& node : list) {
      auto const text = node.value_exact<std::string>();
      if (!text) {
        wrong_type(path, node, "texts in its array");
        fine = false;
        continue;
      }
      bool const excluded = marks && text->starts_with('!');
      auto added = include && !excluded ? filter.include(*text)
                                        : filter.exclude(std::string_view(*text).substr(excluded ? 1 : 0));
      if (added) continue;
      complain(path, node.source().begin, added.error().code, fmt::format("{}: {}", path, added.error().message),
               added.error().hint);
      fine = false;
    }
    return fine;
  }

  [[nodiscard]] std::string absolute(std::string_view path) const {
    auto const base = std::filesystem::absolute(file_).parent_path();
    return (base / path).lexically_normal().string();
  }

  // No problem with that key so far.
  [[nodiscard]] bool fine(std::string_view path) const { return !bad_.contains(path); }

  void finish(toml::table const& root) {
    bool const typed = seen_.contains("destination.type") && fine("destination.type");
    auto const type = config_.destination.type;
    for (auto const& which : keys()) {
      auto const here = seen_.find(which.path);
      bool const ours = which.of.every() || (typed && which.of.has(type));
      if (here != seen_.end()) {
        if (!ours && typed) {
          complain(which.path, here->second, "config.other_destination",
                   fmt::format("{} is a key of the {} destination, and this one is {}", which.path, names_of(which.of),
                               name_of(type)));
        }
      } else if (which.required && ours && !meant_.contains(which.path)) {
        missing(root, which);
      }
    }
    derive();
    compare();
  }

  void missing(toml::table const& root, key const& which) {
    auto const section = which.path.substr(0, std::min(which.path.find('.'), which.path.size()));
    if (section != which.path && (meant_.contains(section) || !fine(section))) return;
    toml::source_position at{};
    if (auto const* table = section == which.path ? nullptr : root.get(section)) at = table->source().begin;
    complain(which.path, at, "config.missing_key", fmt::format("{} is missing", which.path),
             fmt::format("it is {}", which.summary));
  }

  // The defaults that depend on other things, and paths.
  void derive() {
    auto& source = config_.source;
    if (source.publication.empty()) source.publication = "etl_stream_" + config_.name;
    if (source.slot.empty()) {
      source.slot = "etl_stream_" + config_.name;
      for (char& c : source.slot) {
        if (c == '-') c = '_';
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      }
    }
    auto& target = config_.destination;
    for (auto* const path : {&target.file.path, &target.duckdb.path, &target.snowflake.ca_file, &config_.python.venv}) {
      if (!path->empty() && *path != "-") *path = absolute(*path);
    }
    if (target.python.module.ends_with(".py")) target.python.module = absolute(target.python.module);
    auto& state = config_.state.sqlite_path;
    if (!state.empty()) {
      state = absolute(state);
    } else if (fine("state.url")) {
      state = state_home();
    }
  }

  // XDG Base Directory Specification: a path that is not absolute counts as not set.
  std::string state_home() {
    std::filesystem::path home = variables_("XDG_STATE_HOME").value_or("");
    if (!home.is_absolute()) {
      home = variables_("HOME").value_or("");
      if (!home.is_absolute()) {
        complain("state.url", {}, "config.no_state_home",
                 "there is no place for the state: neither XDG_STATE_HOME nor HOME is set",
                 R"(set [state] url = "sqlite:/var/lib/etl-stream/NAME.db")");
        return {};
      }
      home /= ".local/state";
    }
    return (home / "etl-stream" / (config_.name + ".db")).string();
  }

  // What keys have to do with one another.
  void compare() {
    auto const place = [&](std::string_view path) {
      auto const found = seen_.find(path);
      return found == seen_.end() ? toml::source_position{} : found->second;
    };
    auto const& copy = config_.copy;
    if (fine("copy.chunk_size") && fine("copy.max_memory") && copy.max_memory < copy.chunk_size) {
      complain("copy.max_memory", place(seen_.contains("copy.max_memory") ? "copy.max_memory" : "copy.chunk_size"),
               "config.bad_value", "copy.max_memory is smaller than copy.chunk_size",
               fmt::format("make it {} or more", size_text(static_cast<std::int64_t>(copy.chunk_size))));
    }
    if (auto const type = config_.destination.type; !find_key("destination.operation_column")->of.has(type)) return;
    std::pair<std::string_view, std::string_view> const columns[] = {
        {"destination.position_column", config_.destination.position_column},
        {"destination.operation_column", config_.destination.operation_column},
        {"destination.commit_time_column", config_.destination.commit_time_column},
    };
    for (auto later = std::begin(columns); later != std::end(columns); ++later) {
      for (auto earlier = std::begin(columns); earlier != later; ++earlier) {
        if (earlier->second != later->second || !fine(earlier->first) || !fine(later->first)) continue;
        complain(later->first, place(seen_.contains(later->first) ? later->first : earlier->first), "config.bad_value",
                 fmt::format("{} and {} name the same column", earlier->first, later->first));
      }
    }
  }

  std::string const& file_;
  environment const& variables_;
  bool exposed_;
  pipeline_config config_;
  parsed_file outcome_;
  places seen_;
  std::set<std::string, std::less<>> bad_;    // keys and sections with a problem
  std::set<std::string, std::less<>> meant_;  // what unknown keys were probably meant to be
};

}  // namespace

std::string problem::to_text() const {
  std::string text = file;
  if (line != 0) text += fmt::format(":{}:{}", line, column);
  text += ": " + message;
  if (!hint.empty()) text += "\n  " + hint;
  return text;
}

std::optional<std::string> process_environment(std::string const& name) {
  if (char const* value = std::getenv(name.c_str())) return value;
  return std::nullopt;
}

parsed_file parse(std::string_view text, std::string const& file, environment const& variables, bool exposed) {
  return reader(file, variables, exposed).read(text);
}

load_outcome load(std::span<std::string const> files, environment const& variables) {
  load_outcome outcome;
  struct loaded {
    pipeline_config pipeline;
    places seen;
  };
  std::vector<loaded> all;
  for (auto const& file : files) {
    auto const read = read_file(file, largest_file);
    if (!read) {
      outcome.problems.push_back({.code = "config.unreadable",
                                  .file = file,
                                  .message = "the file cannot be read: " + read.error().message,
                                  .hint = ""});
      continue;
    }
    reader one(file, variables, group_or_others_may_read(read->mode));
    auto parsed = one.read(read->text);
    std::ranges::move(parsed.problems, std::back_inserter(outcome.problems));
    std::ranges::move(parsed.warnings, std::back_inserter(outcome.warnings));
    if (parsed.pipeline) all.push_back({std::move(*parsed.pipeline), one.seen()});
  }

  auto const clash = [&](loaded const& later, std::string_view key, std::string message, std::string hint) {
    auto const at = later.seen.find(key);
    bool const known = at != later.seen.end();
    outcome.problems.push_back({.code = "config.clash",
                                .file = later.pipeline.file,
                                .line = known ? static_cast<std::uint32_t>(at->second.line) : 0,
                                .column = known ? static_cast<std::uint32_t>(at->second.column) : 0,
                                .message = std::move(message),
                                .hint = std::move(hint)});
  };
  for (auto later = all.begin(); later != all.end(); ++later) {
    for (auto earlier = all.begin(); earlier != later; ++earlier) {
      auto const& a = earlier->pipeline;
      auto const& b = later->pipeline;
      if (a.name == b.name) {
        clash(*later, "name", fmt::format("the name {} is that of the pipeline in {}, too", b.name, a.file),
              "give every pipeline a name of its own");
        continue;
      }
      if (a.source.slot == b.source.slot && a.source.url == b.source.url) {
        clash(*later, "source.slot",
              fmt::format("the pipelines {} and {} use the slot {} of one source", a.name, b.name, b.source.slot),
              "set source.slot: a slot serves one pipeline");
      }
      auto const& path = b.destination.file.path;  // that of duckdb, too
      if (!path.empty() && path == a.destination.file.path) {
        clash(*later, "destination.path", fmt::format("the pipelines {} and {} write to {}", a.name, b.name, path),
              "give each a place of its own");
      }
      if (!a.python.venv.empty() && !b.python.venv.empty() && a.python.venv != b.python.venv) {
        clash(*later, "python.venv",
              fmt::format("the pipelines {} and {} name different virtual environments", a.name, b.name),
              "one process has one Python: name the same, or run them in two processes");
      }
      if (a.state.sqlite_path == b.state.sqlite_path) {
        clash(*later, "state.url",
              fmt::format("the pipelines {} and {} keep their state in {}", a.name, b.name, b.state.sqlite_path),
              "give each a file of its own");
      }
    }
  }
  if (!outcome.problems.empty()) return outcome;
  for (auto& one : all) outcome.pipelines.push_back(std::move(one.pipeline));
  return outcome;
}

}  // namespace etl::config
