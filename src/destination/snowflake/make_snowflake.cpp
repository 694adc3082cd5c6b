#include "destination/snowflake/make_snowflake.hpp"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "destination/snowflake/account.hpp"
#include "destination/snowflake/rest_transport.hpp"
#include "destination/snowflake/sdk_transport.hpp"
#include "destination/snowflake/snowflake_destination.hpp"
#include "destination/snowflake/statements.hpp"
#include "state/files.hpp"

namespace etl::destination {
namespace {

using namespace snowflake;

layout layout_of(config::pipeline_config const& pipeline) {
  auto const& asked = pipeline.destination.snowflake;
  layout all;
  all.pipeline = pipeline.name;
  all.database = identifier(asked.database);
  all.schema = identifier(asked.schema);
  all.landing_schema = identifier(asked.landing_schema);
  all.warehouse = identifier(asked.warehouse);
  all.names = asked.name_case;
  all.apply = asked.apply;
  all.apply_every = asked.apply_every;
  all.metadata.position = pipeline.destination.position_column;
  all.metadata.operation = pipeline.destination.operation_column;
  all.metadata.commit_time = pipeline.destination.commit_time_column;
  return all;
}

account_options account_of(config::snowflake_destination const& asked, layout const& all) {
  account_options options;
  options.account = asked.account;
  options.endpoint = asked.endpoint;
  options.ca_file = asked.ca_file;
  options.user = asked.user;
  options.private_key = asked.private_key;
  if (asked.passphrase) options.passphrase = *asked.passphrase;
  options.role = asked.role;
  options.warehouse = all.warehouse;
  options.database = all.database;
  options.schema = all.schema;
  return options;
}

sdk_options sdk_of(config::snowflake_destination const& asked, layout const& all, python::interpreter* python) {
  sdk_options options;
  options.python = python;
  options.pipeline = all.pipeline;
  options.account = asked.account;
  options.endpoint = asked.endpoint;
  options.ca_file = asked.ca_file;
  options.user = asked.user;
  options.private_key = asked.private_key;
  if (asked.passphrase) options.passphrase = *asked.passphrase;
  options.role = asked.role;
  options.database = all.database;
  options.schema = all.landing_schema_in_use();
  return options;
}

asio::awaitable<result<snowflake_services>> connect(config::snowflake_destination asked, layout all,
                                                    python::interpreter* python) {
  auto made = account::make(co_await asio::this_coro::executor, account_of(asked, all));
  if (!made) co_return fail(std::move(made));
  auto const kept = std::shared_ptr<account>(std::move(*made));
  snowflake_services services;
  services.sql = statements::runner(kept);
  if (asked.transport == config::snowflake_transport::rest) {
    rest_options options;
    options.send = [kept](http::request what) { return kept->send_ingest(std::move(what)); };
    options.database = all.database;
    options.schema = all.landing_schema_in_use();
    options.position_offset = position_offset(all.metadata);
    services.rows = std::make_unique<rest_transport>(std::move(options));
    co_return services;
  }
  auto sdk = std::make_unique<sdk_transport>(sdk_of(asked, all, python));
  if (auto started = co_await sdk->start(); !started) co_return fail(std::move(started));
  services.rows = std::move(sdk);
  co_return services;
}

}  // namespace

result<std::unique_ptr<destination>> make_snowflake(config::pipeline_config const& pipeline,
                                                    dependencies const& around) {
  auto const& asked = pipeline.destination.snowflake;
  snowflake_options options;
  if (asked.on_reject == config::on_reject::quarantine) {
    options.quarantine_directory =
        fmt::format("{}/{}.rejected", state::parent_directory(pipeline.state.sqlite_path), pipeline.name);
  }
  options.all = layout_of(pipeline);
  options.channels = asked.channels;
  options.memory = around.memory;
  options.connect = [asked, all = options.all, python = around.python] { return connect(asked, all, python); };
  return std::make_unique<snowflake_destination>(std::move(options));
}

}  // namespace etl::destination
