#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "config/pipeline_config.hpp"
#include "model/relation.hpp"

namespace etl::destination::snowflake {

// What the columns of a landing table that hold no column of the source are called.
struct metadata_names {
  std::string position = "_etl_position";
  std::string operation = "_etl_operation";
  std::string commit_time = "_etl_commit_time";
  // An object with the old key of an UPDATE that changes it and leaves values unchanged.
  std::string old_key = "_etl_old_key";
  // The columns that an UPDATE did not send, as encode::listed_name() lists them: they are NULL in the landing table
  // and unchanged in truth.
  std::string unchanged = "_etl_unchanged";
};

// Where in every line of a landing table the text of its position begins: {"_etl_position":"…
[[nodiscard]] std::size_t position_offset(metadata_names const& names);

// What holds for all tables of a pipeline.
struct layout {
  std::string pipeline;
  std::string database;  // these three as Snowflake has them, see identifier()
  std::string schema;
  std::string landing_schema;
  std::string warehouse;
  config::name_case names = config::name_case::preserve;
  config::apply_mode apply = config::apply_mode::merge;
  std::chrono::milliseconds apply_every = std::chrono::seconds(60);
  metadata_names metadata;

  // With apply = "append" the landing tables are what readers want.
  [[nodiscard]] std::string const& landing_schema_in_use() const {
    return apply == config::apply_mode::append ? schema : landing_schema;
  }
};

// What Snowflake makes of a name in a configuration file: exact in double quotes, else upper case.
[[nodiscard]] std::string identifier(std::string_view written);

// Letters of ASCII alone: how Snowflake folds others is nothing to build a name on.
[[nodiscard]] std::string upper_case(std::string_view text);

// The names of one source table's objects, as Snowflake has them.
//
// A table of the schema public keeps its name; in front of any other's stands its schema: "sales__orders". The landing
// table's name begins with the pipeline's, since it belongs to that alone: two pipelines that shared one would each
// trim the other's rows. With apply = "append" the landing table is what readers want: there it has the target's name.
class table_names {
 public:
  table_names(layout const& all, model::relation const& table);

  [[nodiscard]] std::string const& target() const { return target_; }    // without the schema
  [[nodiscard]] std::string const& landing() const { return landing_; }  // without the schema
  [[nodiscard]] std::string const& landing_schema() const { return landing_schema_; }
  // For SQL: with database and schema, in double quotes.
  [[nodiscard]] std::string quoted_target() const;
  [[nodiscard]] std::string quoted_landing() const;
  [[nodiscard]] std::string quoted_stream() const;
  [[nodiscard]] std::string quoted_task() const;
  // A source's column in the target table. In the landing table columns have the source's own names.
  [[nodiscard]] std::string column(std::string_view source) const;

 private:
  std::string database_;
  std::string schema_;
  std::string landing_schema_;
  std::string target_;
  std::string landing_;
  bool upper_;
};

// "shop.public.orders.0of2". Nothing but letters, digits and _ stands for itself between the dots, so that no two
// tables share a channel. The number of lanes belongs to the name: with another one, keys are spread in another way.
[[nodiscard]] std::string channel_name(std::string_view pipeline, model::relation const& table, unsigned lane,
                                       unsigned lanes);

}  // namespace etl::destination::snowflake
