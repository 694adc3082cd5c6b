#include "config/table_filter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace etl::config {
namespace {

constexpr std::size_t longest_name = 63;  // NAMEDATALEN - 1

error not_a_pattern(std::string_view text, std::string_view why) {
  return {.kind = severity::config,
          .code = "config.table_pattern",
          .message = fmt::format("'{}' does not name tables: {}", text, why),
          .hint = R"(write schema.table as in SQL, as in "sales.orders", "sales.*" or "\"Sales\".orders")"};
}

bool matches_pieces(std::vector<std::string> const& pieces, std::string_view text) {
  if (pieces.size() == 1) return text == pieces.front();
  auto const& first = pieces.front();
  auto const& last = pieces.back();
  if (text.size() < first.size() + last.size() || !text.starts_with(first) || !text.ends_with(last)) return false;
  text = text.substr(first.size(), text.size() - first.size() - last.size());
  for (std::size_t i = 1; i + 1 < pieces.size(); ++i) {
    auto const at = text.find(pieces[i]);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + pieces[i].size());
  }
  return true;
}

}  // namespace

result<table_pattern> table_pattern::parse(std::string_view text) {
  std::vector<std::vector<std::string>> names = {{""}};
  bool quoted = false;
  bool began = false;  // the current name has something in it, if only a pair of quotes
  std::optional<error> failure;
  auto const end_name = [&] {
    std::size_t letters = 0;
    for (auto const& piece : names.back()) letters += piece.size();
    if (!began || (names.back().size() == 1 && letters == 0)) failure = not_a_pattern(text, "a name is empty");
    if (letters > longest_name) failure = not_a_pattern(text, "a name is longer than PostgreSQL's 63 bytes");
  };

  for (std::size_t i = 0; i < text.size(); ++i) {
    char const c = text[i];
    auto& name = names.back();
    if (quoted) {
      if (c != '"') {
        name.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        name.back() += text[++i];
      } else {
        quoted = false;
      }
      continue;
    }
    if (c == '.') {
      end_name();
      names.push_back({""});
      began = false;
      continue;
    }
    began = true;
    if (c == '"') {
      quoted = true;
    } else if (c == '*') {
      name.emplace_back();
    } else if (c >= 'A' && c <= 'Z') {
      name.back() += static_cast<char>(c - 'A' + 'a');
    } else if (c == '!' || c == ',' || c == ';' || c == '\'' || (c >= 0 && c <= ' ') || c == 0x7f) {
      return not_a_pattern(text, fmt::format("the character {} needs double quotes around it",
                                             c > ' ' && c != 0x7f ? fmt::format("'{}'", c) : "white space"));
    } else {
      name.back() += c;
    }
  }
  if (quoted) return not_a_pattern(text, "a double quote is not closed");
  end_name();
  if (names.size() > 2) return not_a_pattern(text, "it has more than a schema and a name");
  if (failure) return *failure;

  table_pattern pattern;
  pattern.name_ = std::move(names.back());
  pattern.schema_ = names.size() == 2 ? std::move(names.front()) : std::vector<std::string>{"public"};
  return pattern;
}

bool table_pattern::matches(std::string_view schema, std::string_view name) const {
  return matches_pieces(schema_, schema) && matches_pieces(name_, name);
}

result<void> table_filter::include(std::string_view pattern) {
  auto parsed = table_pattern::parse(pattern);
  if (!parsed) return fail(std::move(parsed));
  includes_.push_back(std::move(*parsed));
  return {};
}

result<void> table_filter::exclude(std::string_view pattern) {
  auto parsed = table_pattern::parse(pattern);
  if (!parsed) return fail(std::move(parsed));
  excludes_.push_back(std::move(*parsed));
  return {};
}

bool table_filter::matches(std::string_view schema, std::string_view name) const {
  auto const hit = [&](table_pattern const& pattern) { return pattern.matches(schema, name); };
  if (std::ranges::any_of(excludes_, hit)) return false;
  return includes_.empty() || std::ranges::any_of(includes_, hit);
}

}  // namespace etl::config
