#include "destination/factory.hpp"

#include <utility>

#include "destination/duckdb_module.hpp"
#include "destination/file/file_destination.hpp"
#include "destination/file/standard_output.hpp"
#include "destination/null/null_destination.hpp"
#include "destination/postgres/postgres_destination.hpp"
#include "destination/python/module_destination.hpp"
#include "destination/snowflake/make_snowflake.hpp"

namespace etl::destination {
namespace {

std::unique_ptr<destination> make_postgres(config::pipeline_config const& pipeline, dependencies around) {
  auto const& asked = pipeline.destination.postgres;
  postgres_options options;
  options.server.url = asked.url.reveal();
  if (asked.password) options.server.password = asked.password->reveal();
  options.server.application_name = "etl-stream " + pipeline.name;
  options.server.admit = std::move(around.admit);
  options.pipeline = pipeline.name;
  options.types_now = std::move(around.types_now);
  options.transfer = around.binary ? encoding::copy_binary : encoding::copy_text;
  return std::make_unique<postgres_destination>(std::move(options));
}

std::unique_ptr<destination> make_file(config::pipeline_config const& pipeline) {
  auto const& asked = pipeline.destination.file;
  if (asked.path == "-") {
    return std::make_unique<standard_output>(standard_output::names{pipeline.destination.position_column,
                                                                    pipeline.destination.operation_column,
                                                                    pipeline.destination.commit_time_column});
  }
  return std::make_unique<file_destination>(
      file::store_options{asked.path, pipeline.name, asked.compression, asked.segment_bytes});
}

encode::arrow_options arrow_options_of(config::destination_config const& destination) {
  return {.operation_name = destination.operation_column,
          .position_name = destination.position_column,
          .commit_time_name = destination.commit_time_column,
          .on_unrepresentable = policies_of(destination)};
}

encode::unrepresentable policy_of(config::unrepresentable asked) {
  switch (asked) {
    case config::unrepresentable::error:
      return encode::unrepresentable::error;
    case config::unrepresentable::null:
      return encode::unrepresentable::null;
    case config::unrepresentable::text:
      break;
  }
  return encode::unrepresentable::text;
}

std::unique_ptr<destination> make_python(config::pipeline_config const& pipeline, dependencies const& around) {
  auto const& asked = pipeline.destination.python;
  module_options options;
  options.python = around.python;
  options.module = asked.module;
  options.config = {{"pipeline", pipeline.name}};
  options.settings = asked.settings;
  options.format = asked.format;
  options.arrow = arrow_options_of(pipeline.destination);
  options.can = {.max_rows = 50'000, .max_bytes = 4 << 20, .max_fill_ms = 500};
  return std::make_unique<module_destination>(std::move(options));
}

std::unique_ptr<destination> make_duckdb(config::pipeline_config const& pipeline, dependencies const& around) {
  auto const& asked = pipeline.destination.duckdb;
  bool const history = asked.mode == config::row_keeping::history;
  module_options options;
  options.python = around.python;
  options.module = "duckdb_destination";
  options.source = duckdb_module;
  options.config = {{"pipeline", pipeline.name},
                    {"path", asked.path},
                    {"schema", asked.schema},
                    {"mode", history ? "history" : "current"},
                    {"operation_column", pipeline.destination.operation_column},
                    {"position_column", pipeline.destination.position_column},
                    {"commit_time_column", pipeline.destination.commit_time_column}};
  options.arrow.on_unrepresentable = policies_of(pipeline.destination);
  options.arrow.infinite = encode::infinities::extremes;
  // Every statement has a fixed cost, and so has a commit.
  options.can = {.appends = history, .max_rows = 100'000, .max_bytes = 32 << 20, .max_fill_ms = 500};
  options.call_limit = std::chrono::minutes(10);  // a large file's checkpoint
  return std::make_unique<module_destination>(std::move(options));
}

}  // namespace

bool needs_python(config::destination_config const& destination) {
  switch (destination.type) {
    case config::destination_type::duckdb:
    case config::destination_type::python:
      return true;
    case config::destination_type::snowflake:
      return destination.snowflake.transport == config::snowflake_transport::sdk;
    case config::destination_type::postgres:
    case config::destination_type::file:
    case config::destination_type::null:
      break;
  }
  return false;
}

encode::unrepresentable_policies policies_of(config::destination_config const& destination) {
  encode::unrepresentable_policies policies{policy_of(destination.on_unrepresentable), {}};
  for (auto const& one : destination.columns) {
    policies.exceptions.push_back({one.schema, one.table, one.column, policy_of(one.on_unrepresentable)});
  }
  return policies;
}

result<std::unique_ptr<destination>> make(config::pipeline_config const& pipeline, dependencies around) {
  switch (pipeline.destination.type) {
    case config::destination_type::postgres:
      return make_postgres(pipeline, std::move(around));
    case config::destination_type::file:
      return make_file(pipeline);
    case config::destination_type::duckdb:
      return make_duckdb(pipeline, around);
    case config::destination_type::python:
      return make_python(pipeline, around);
    case config::destination_type::snowflake:
      return make_snowflake(pipeline, around);
    case config::destination_type::null:
      return std::make_unique<null_destination>(
          pipeline.destination.null.encoding == config::null_encoding::ndjson ? encoding::ndjson : encoding::none);
  }
  return error{severity::bug, "destination.type", "a type of destination that this program does not know"};
}

}  // namespace etl::destination
