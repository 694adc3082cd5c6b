#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/lsn.hpp"
#include "destination/snowflake/names.hpp"
#include "model/relation.hpp"

namespace etl::destination::snowflake {

// What a landing table holds up to a position, as apply_sql::survey() tells it.
struct survey {
  std::uint64_t rows = 0;
  std::optional<position> truncated;  // by the last TRUNCATE in there
  bool partial = false;               // updates that left values out
  bool rekeys = false;                // updates that left values out and changed the key
};

// The SQL that makes a landing table's rows the target table's. Pure text.
//
// For each key the newest row wins, by position. Values that an update did not send are taken from the newest earlier
// row that has them, or from the target. What a transaction applies it also removes from the landing table, so that a
// row is applied once, whenever the program is killed; and it reads up to a position that everything is known to be
// there for, so that it never removes what it has not read.
class apply_sql {
 public:
  apply_sql(layout const& all, model::relation_ptr table);

  // One row: how many rows there are at or below `upto`, and the other fields of `survey`, see parse_survey().
  [[nodiscard]] std::string survey_up_to(position upto) const;
  [[nodiscard]] static std::optional<survey> parse_survey(std::vector<std::optional<std::string>> const& row);

  // A changed key whose old row was itself changed in the range cannot be resolved in the same step: where the first of
  // them is, or null. Asked when the survey says `rekeys`; what is before it is applied by itself.
  [[nodiscard]] std::string first_obstacle(position upto, survey const& found) const;

  // Applies what the landing table holds up to `upto`, and trims it: one transaction in one block.
  [[nodiscard]] std::string apply_up_to(position upto, survey const& found) const;

  // For apply = "task": a stream on the landing table, and a task that applies and trims what it brings. Changed keys
  // with values left out must not be among it.
  [[nodiscard]] std::vector<std::string> create_task() const;
  // For apply = "view": the current state, computed when it is read, under the target's name.
  [[nodiscard]] std::string create_view() const;

 private:
  // A statement's rows: a table expression, the condition that limits it, and how far they were truncated.
  struct range {
    std::string from;
    std::string where;
    bool partial = true;
    bool rekeys = false;
  };
  [[nodiscard]] std::string newest_rows(range const& rows) const;
  [[nodiscard]] std::string carried(std::string_view key) const;
  [[nodiscard]] std::string complete_rows(range const& rows) const;
  [[nodiscard]] std::string changes(range const& rows) const;
  [[nodiscard]] std::string merge(range const& rows) const;
  [[nodiscard]] std::string insert(range const& rows) const;
  [[nodiscard]] std::string apply(range const& rows) const { return keys_.empty() ? insert(rows) : merge(rows); }
  [[nodiscard]] std::string same_key(std::string_view left, std::string_view right) const;
  [[nodiscard]] std::string old_key(std::size_t key_part, std::string_view of) const;
  [[nodiscard]] std::string is_absent(std::size_t column) const;

  struct column {
    std::string landing;  // for SQL, as the others
    std::string target;
    std::string type;
    std::string old_key_path;
    std::string listed;  // a literal: how the landing table says that it was not sent
    bool may_be_unchanged = false;
    bool binary = false;
  };
  table_names names_;
  std::string position_;
  std::string operation_;
  std::string old_key_;
  std::string unchanged_;
  std::vector<column> columns_;
  std::vector<std::uint16_t> keys_;
  std::string warehouse_;
  std::chrono::milliseconds apply_every_;
};

}  // namespace etl::destination::snowflake
