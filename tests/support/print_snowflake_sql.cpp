// Prints the statements of one table for tests/integration/test_snowflake_apply.py, as one JSON object. Arguments:
// merge|task|view|append, the columns as name:oid,name:oid, the number of leading columns that are its key.
// Positions stand in them as 32 times F (up to) and 32 times E (truncated at).
#include <boost/json.hpp>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <sstream>

#include "destination/snowflake/apply_sql.hpp"
#include "destination/snowflake/table_sql.hpp"

int main(int, char** arguments) {
  using namespace etl;
  using namespace etl::destination::snowflake;

  std::string const mode = arguments[1];
  layout all;
  all.pipeline = "shop";
  all.database = "ANALYTICS";
  all.schema = "PUBLIC";
  all.landing_schema = "ETL_SCHEMA";
  all.warehouse = "WH";
  all.apply = mode == "merge"  ? config::apply_mode::merge
              : mode == "task" ? config::apply_mode::task
              : mode == "view" ? config::apply_mode::view
                               : config::apply_mode::append;
  model::relation made;
  made.schema = "public";
  made.name = "t";
  std::istringstream columns(arguments[2]);
  for (std::string column; std::getline(columns, column, ',');) {
    auto const colon = column.find(':');
    auto const oid = static_cast<std::uint32_t>(std::strtoul(column.c_str() + colon + 1, nullptr, 10));
    made.columns.push_back({.name = column.substr(0, colon), .type_oid = oid, .base_type_oid = oid});
  }
  for (std::uint16_t i = 0; i < std::atoi(arguments[3]); ++i) made.key.push_back(i);

  auto const table = std::make_shared<model::relation const>(std::move(made));
  table_sql const definition(all, table);
  apply_sql const apply(all, table);
  constexpr auto all_ones = std::numeric_limits<std::uint64_t>::max();
  position const upto{lsn{all_ones}, all_ones};
  position const truncated{lsn{0xEEEEEEEEEEEEEEEE}, 0xEEEEEEEEEEEEEEEE};
  boost::json::object variants;
  boost::json::object obstacles;
  for (unsigned bits = 0; bits < 8; ++bits) {
    survey found{.rows = 1, .truncated = {}, .partial = (bits & 2) != 0, .rekeys = (bits & 4) != 0};
    if ((bits & 1) != 0) found.truncated = truncated;
    variants[std::to_string(bits)] = apply.apply_up_to(upto, found);
    obstacles[std::to_string(bits)] = apply.first_obstacle(upto, found);
  }
  boost::json::object printed{{"schema", definition.create_schema()},
                              {"landing", definition.create_landing()},
                              {"target", definition.create_target()},
                              {"survey", apply.survey_up_to(upto)},
                              {"obstacle", obstacles},
                              {"apply", variants},
                              {"view", apply.create_view()}};
  printed["task"] = boost::json::value_from(apply.create_task());
  std::cout << boost::json::serialize(printed) << '\n';
}
