// Makes a table by the SQL API and feeds one channel of it by REST, for tests/integration/test_snowflake_rest.py.
// Arguments: the directory of a stand-in, the account, the user, database, schema, table, channel, the first position's
// commit LSN, batches, rows a batch. Prints one line of JSON.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <iterator>

#include "destination/snowflake/account.hpp"
#include "destination/snowflake/rest_transport.hpp"
#include "destination/snowflake/statements.hpp"

namespace {

using namespace etl;
using namespace etl::destination::snowflake;

std::string contents(std::string const& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct order {
  std::string table, channel;
  std::uint64_t commit;
  unsigned batches, rows;
};

std::string make_lines(position first, unsigned count) {
  std::string lines;
  for (unsigned i = 0; i < count; ++i) {
    lines += fmt::format("{{\"_etl_position\":\"{}\",\"_etl_operation\":\"insert\",\"id\":{},\"note\":\"{}\"}}\n",
                         position{first.commit, first.ordinal + 2 * i}.to_text(), first.commit.value * 1'000'000 + i,
                         std::string(90, 'x'));
  }
  return lines;
}

boost::json::object describe(channel_status const& status) {
  return {{"committed", status.committed},
          {"inserted", status.inserted},
          {"errors", status.errors},
          {"valid", status.valid}};
}

asio::awaitable<result<void>> feed(account_options options, order what, boost::json::object& told) {
  auto made = account::make(co_await asio::this_coro::executor, options);
  if (!made) co_return fail(std::move(made));
  std::shared_ptr<account> const to = std::move(*made);
  auto const sql = statements::runner(to);
  auto created =
      co_await sql(fmt::format("CREATE TABLE IF NOT EXISTS \"{}\" (\"_etl_position\" VARCHAR, "
                               "\"_etl_operation\" VARCHAR, \"id\" NUMBER, \"note\" VARCHAR)",
                               what.table));
  if (!created) co_return fail(std::move(created));

  rest_transport rows({.send = [&](http::request one) { return to->send_ingest(std::move(one)); },
                       .database = options.database,
                       .schema = options.schema,
                       .position_offset = std::string_view(R"({"_etl_position":")").size(),
                       .retry_for = std::chrono::seconds(10)});
  auto opened = co_await rows.open(what.table, what.channel);
  if (!opened) co_return fail(std::move(opened));
  told["opened"] = describe(*opened);
  std::string last;
  for (unsigned i = 0; i < what.batches; ++i) {
    position const first{lsn{what.commit + i}, 0};
    position const end{first.commit, 2 * (what.rows - 1)};
    last = end.to_text();
    auto sent = co_await rows.append(what.channel, make_lines(first, what.rows), what.rows, first, end);
    if (!sent) co_return fail(std::move(sent));
  }
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    auto said = co_await rows.status({what.channel});
    if (!said) co_return fail(std::move(said));
    told["status"] = describe(said->front());
    if (said->front().committed == last || !said->front().valid) break;
    timer.expires_after(std::chrono::milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
  }
  auto counted = co_await sql(fmt::format(
      "SELECT COUNT(*), COUNT(DISTINCT \"_etl_position\"), MAX(\"_etl_position\") FROM \"{}\"", what.table));
  if (!counted) co_return fail(std::move(counted));
  boost::json::array found;
  for (auto const& value : counted->front()) found.emplace_back(value.value_or("NULL"));
  told["found"] = std::move(found);
  co_await rows.close();
  co_return result<void>();
}

}  // namespace

int main(int, char** arguments) {
  auto const connection = boost::json::parse(contents(std::string(arguments[1]) + "/connection.json")).as_object();
  auto const text = [&](char const* key) { return std::string(connection.at(key).as_string()); };
  account_options options;
  options.endpoint = text("url");
  options.ca_file = text("ca_file");
  options.private_key = config::secret(contents(text("private_key")));
  options.account = arguments[2];
  options.user = arguments[3];
  options.database = arguments[4];
  options.schema = arguments[5];
  order const what{arguments[6], arguments[7], std::stoull(arguments[8]),
                   static_cast<unsigned>(std::stoul(arguments[9])), static_cast<unsigned>(std::stoul(arguments[10]))};
  asio::io_context context(1);
  boost::json::object told;
  auto done = asio::co_spawn(context, feed(options, what, told), asio::use_future);
  context.run();
  auto const outcome = done.get();
  if (!outcome) {
    told["error"] = outcome.error().code;
    told["text"] = outcome.error().to_text();
    told["server_text"] = outcome.error().server_text;
  }
  std::cout << boost::json::serialize(told) << '\n';
  return outcome ? 0 : 1;
}
