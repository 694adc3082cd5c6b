#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "destination/snowflake/column_type.hpp"
#include "destination/snowflake/names.hpp"
#include "model/relation.hpp"

namespace etl::destination::snowflake {

// A table as DESCRIBE TABLE tells of it.
struct existing_table {
  struct column {
    std::string name;
    std::string described;  // its type, "NUMBER(38,0)"
  };
  std::vector<column> columns;
};

// The statements that make one source table's objects at Snowflake and keep them fit. Pure text.
//
// The landing table has the source's columns under their own names and those of metadata_names; neither DEFAULT nor
// NOT NULL anywhere, since Snowpipe Streaming writes NULL into what a row does not name.
class table_sql {
 public:
  table_sql(layout const& all, model::relation_ptr table);

  // Errors (data): `destination.column_name` where columns cannot be told apart at Snowflake.
  [[nodiscard]] result<void> check() const;

  [[nodiscard]] std::string create_schema() const;  // of the landing tables
  [[nodiscard]] std::string create_landing() const;
  [[nodiscard]] std::string create_target() const;
  // The ALTER TABLE statements after which an existing table takes the relation's rows. What cannot be mended without
  // losing something is an error (data) whose hint is the SQL that does: `destination.column_type`.
  [[nodiscard]] result<std::vector<std::string>> fit_landing(existing_table const& landing) const;
  [[nodiscard]] result<std::vector<std::string>> fit_target(existing_table const& target) const;

  [[nodiscard]] std::string describe_landing() const;
  [[nodiscard]] std::string describe_target() const;
  [[nodiscard]] std::string count_target() const;
  [[nodiscard]] std::string count_landing() const;

  [[nodiscard]] table_names const& names() const { return names_; }
  [[nodiscard]] model::relation const& table() const { return *table_; }

 private:
  struct wanted_column {
    std::string name;  // for SQL
    column_type type;
  };
  [[nodiscard]] std::vector<wanted_column> landing_columns() const;
  [[nodiscard]] std::vector<wanted_column> target_columns() const;
  [[nodiscard]] result<std::vector<std::string>> fit(std::string const& quoted_name,
                                                     std::vector<wanted_column> const& wanted,
                                                     existing_table const& existing) const;

  model::relation_ptr table_;
  table_names names_;
  metadata_names metadata_;
  std::string landing_schema_;
};

}  // namespace etl::destination::snowflake
