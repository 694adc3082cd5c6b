#pragma once

#include <memory>
#include <string>
#include <vector>

#include "destination/snowflake/names.hpp"
#include "model/relation.hpp"

// Tables as literals.
namespace etl::test {

struct column_spec {
  std::string name;
  std::uint32_t oid;
  std::int32_t modifier = -1;
};

inline model::relation_ptr make_table(std::vector<column_spec> const& columns, std::vector<std::uint16_t> key,
                                      std::string name = "orders", std::string schema = "public") {
  model::relation made;
  made.oid = 16384;
  made.schema = std::move(schema);
  made.name = std::move(name);
  for (auto const& c : columns) {
    made.columns.push_back({.name = c.name, .type_oid = c.oid, .type_modifier = c.modifier, .base_type_oid = c.oid});
  }
  made.key = std::move(key);
  return std::make_shared<model::relation const>(std::move(made));
}

inline destination::snowflake::layout make_layout(config::apply_mode apply = config::apply_mode::merge,
                                                  config::name_case names = config::name_case::preserve) {
  destination::snowflake::layout all;
  all.pipeline = "shop";
  all.database = "DB";
  all.schema = "PUBLIC";
  all.landing_schema = "ETL";
  all.warehouse = "WH";
  all.names = names;
  all.apply = apply;
  return all;
}

}  // namespace etl::test
