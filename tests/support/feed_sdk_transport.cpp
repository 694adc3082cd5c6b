// Feeds one channel by the SDK, for tests/integration/test_snowflake_sdk_transport.py and for measuring. Arguments: the
// virtual environment, the directory of a stand-in, the account, the user, database, schema, table, channel, the first
// position's commit LSN, batches, rows a batch. Prints one line of JSON.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>

#include "destination/snowflake/sdk_transport.hpp"

namespace {

using namespace etl;
using namespace etl::destination::snowflake;
using clock_type = std::chrono::steady_clock;

std::string contents(std::string const& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct order {
  std::string table, channel;
  std::uint64_t commit;
  unsigned batches, rows;
};

// Lines of about 190 bytes.
std::string make_lines(position first, unsigned count) {
  std::string lines;
  for (unsigned i = 0; i < count; ++i) {
    position const at{first.commit, first.ordinal + 2 * i};
    lines += "{\"_etl_position\":\"" + at.to_text() +
             "\",\"_etl_operation\":\"insert\",\"id\":" + std::to_string(first.commit.value * 1'000'000 + i) +
             ",\"note\":\"" + std::string(90, 'x') + "\"}\n";
  }
  return lines;
}

boost::json::object describe(channel_status const& status) {
  return {{"committed", status.committed}, {"inserted", status.inserted}, {"errors", status.errors}};
}

asio::awaitable<boost::json::object> feed(sdk_transport& to, order what) {
  boost::json::object told;
  auto const failed = [&](error const& why) {
    told["error"] = why.code;
    told["text"] = why.to_text();
    told["server_text"] = why.server_text;
  };
  if (auto started = co_await to.start(); !started) {
    failed(started.error());
    co_return told;
  }
  auto opened = co_await to.open(what.table, what.channel);
  if (!opened) {
    failed(opened.error());
    co_return told;
  }
  told["opened"] = describe(*opened);
  std::vector<std::string> batches;
  for (unsigned i = 0; i < what.batches; ++i) batches.push_back(make_lines({lsn{what.commit + i}, 0}, what.rows));
  auto const begun = clock_type::now();
  std::string last;
  for (unsigned i = 0; i < what.batches; ++i) {
    position const first{lsn{what.commit + i}, 0};
    position const end{first.commit, 2 * (what.rows - 1)};
    last = end.to_text();
    auto sent = co_await to.append(what.channel, batches[i], what.rows, first, end);
    if (!sent) {
      failed(sent.error());
      co_return told;
    }
  }
  told["appended_s"] = std::chrono::duration<double>(clock_type::now() - begun).count();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    auto said = co_await to.status({what.channel});
    if (!said) {
      failed(said.error());
      co_return told;
    }
    told["status"] = describe(said->front());
    if (said->front().committed == last || !said->front().valid) break;
    timer.expires_after(std::chrono::milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
  }
  told["committed_s"] = std::chrono::duration<double>(clock_type::now() - begun).count();
  co_return told;
}

}  // namespace

int main(int, char** arguments) {
  auto const connection = boost::json::parse(contents(std::string(arguments[2]) + "/connection.json")).as_object();
  auto const text = [&](char const* key) { return std::string(connection.at(key).as_string()); };
  asio::io_context context(1);
  python::interpreter python({.venv = arguments[1], .venv_required = true});
  sdk_options options;
  options.python = &python;
  options.pipeline = "feed";
  options.account = arguments[3];
  options.user = arguments[4];
  options.endpoint = text("url");
  options.ca_file = text("ca_file");
  options.private_key = config::secret(contents(text("private_key")));
  options.database = arguments[5];
  options.schema = arguments[6];
  order const what{arguments[7], arguments[8], std::stoull(arguments[9]),
                   static_cast<unsigned>(std::stoul(arguments[10])), static_cast<unsigned>(std::stoul(arguments[11]))};
  sdk_transport to(options);
  auto told = asio::co_spawn(context, feed(to, what), asio::use_future);
  context.run();
  auto const answer = told.get();
  context.restart();
  auto closed = asio::co_spawn(context, to.close(), asio::use_future);
  context.run();
  closed.get();
  std::cout << boost::json::serialize(answer) << '\n';
  return python.stop(std::chrono::seconds(5)) && !answer.contains("error") ? 0 : 1;
}
