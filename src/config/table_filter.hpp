#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace etl::config {

// One name or pattern of `source.tables`, written as in SQL (PostgreSQL manual, "Identifiers and Key Words"): parts
// outside of double quotes fold to lower case, a quote inside quotes is doubled, and a name without a schema is one of
// `public`. `*` outside of quotes stands for any number of characters of one name, dots included.
class table_pattern {
 public:
  // Fails with "config.table_pattern" when the text is not such a name.
  [[nodiscard]] static result<table_pattern> parse(std::string_view text);

  [[nodiscard]] bool matches(std::string_view schema, std::string_view name) const;
  // Names one table: no `*` in it. Then schema() and name() are that table's, as the catalog spells them.
  [[nodiscard]] bool exact() const { return schema_.size() == 1 && name_.size() == 1; }
  [[nodiscard]] std::string const& schema() const { return schema_.front(); }
  [[nodiscard]] std::string const& name() const { return name_.front(); }

  friend bool operator==(table_pattern const&, table_pattern const&) = default;

 private:
  // The literal texts between the stars: "a*b" is {"a", "b"}, "*" is {"", ""}.
  std::vector<std::string> schema_;
  std::vector<std::string> name_;
};

// Which source tables a pipeline carries. Without an include, every table; an exclude always wins.
class table_filter {
 public:
  // Fail as table_pattern::parse does.
  [[nodiscard]] result<void> include(std::string_view pattern);
  [[nodiscard]] result<void> exclude(std::string_view pattern);

  // Takes names as the catalog spells them.
  [[nodiscard]] bool matches(std::string_view schema, std::string_view name) const;
  // The file says nothing about tables: the publication's when there is one, else every table.
  [[nodiscard]] bool empty() const { return includes_.empty() && excludes_.empty(); }
  [[nodiscard]] std::vector<table_pattern> const& includes() const { return includes_; }
  [[nodiscard]] std::vector<table_pattern> const& excludes() const { return excludes_; }

  friend bool operator==(table_filter const&, table_filter const&) = default;

 private:
  std::vector<table_pattern> includes_;
  std::vector<table_pattern> excludes_;
};

}  // namespace etl::config
