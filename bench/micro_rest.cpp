// Rows a second through account and rest_transport, over TLS, into a server of this process that answers at once: lines
// of about 190 bytes, made beforehand, in two channels at a time. One thread for the client, one a connection for the
// server. Prints rows a second, the client thread's CPU time a row, and how far the lines were compressed.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "destination/snowflake/account.hpp"
#include "destination/snowflake/rest_transport.hpp"
#include "runtime/task_group.hpp"
#include "support/http_server.hpp"

namespace {

using namespace etl;
using namespace etl::destination::snowflake;
using test::http_server;

constexpr unsigned channels = 2;
constexpr unsigned batches = 40;  // of each channel
constexpr unsigned rows_a_batch = 50'000;

std::string make_lines(unsigned batch) {
  std::minstd_rand random(batch + 1);
  std::string lines;
  for (unsigned i = 0; i < rows_a_batch; ++i) {
    lines += fmt::format(
        "{{\"_etl_position\":\"{}\",\"_etl_operation\":\"insert\",\"id\":{},\"customer\":{},\"amount\":{}.{:02},"
        "\"status\":\"{}\",\"note\":\"order {:x} of {:x}\",\"paid\":{}}}\n",
        position{lsn{batch}, 2 * i}.to_text(), batch * rows_a_batch + i, random() % 5000, random() % 1000,
        random() % 100, random() % 3 == 0 ? "delivered" : "in transit", random(), random(),
        random() % 2 == 0 ? "true" : "false");
  }
  return lines;
}

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

asio::awaitable<result<void>> feed(rest_transport& to, std::string channel, std::vector<std::string> const& lines) {
  if (auto opened = co_await to.open("T", channel); !opened) co_return fail(std::move(opened));
  for (unsigned i = 0; i < batches; ++i) {
    auto const& batch = lines[i % lines.size()];
    auto sent = co_await to.append(channel, batch, rows_a_batch, {lsn{i}, 0}, {lsn{i}, 2 * (rows_a_batch - 1)});
    if (!sent) co_return sent;
  }
  co_return result<void>();
}

asio::awaitable<result<void>> feed_all(account_options options, std::vector<std::string> const& lines) {
  auto const home = co_await asio::this_coro::executor;
  auto made = account::make(home, std::move(options));
  if (!made) co_return fail(std::move(made));
  std::shared_ptr<account> const server = std::move(*made);
  rest_transport rows({.send = [server](http::request what) { return server->send_ingest(std::move(what)); },
                       .database = "D",
                       .schema = "S",
                       .position_offset = 18});
  runtime::task_group group(home);
  for (unsigned i = 0; i < channels; ++i) group.spawn(feed(rows, fmt::format("c{}", i), lines), "channel");
  co_return co_await group.join();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: micro_rest FILE (for the server's certificate authority)\n");
    return 2;
  }
  auto const identity = test::identity::make("DNS:localhost");
  std::ofstream(arguments[1]) << identity.authority;
  std::atomic<std::uint64_t> received = 0;
  http_server const server(
      [&](http_server::request const& asked) {
        received += asked.body.size();
        if (asked.target == "/v2/streaming/hostname") return http_server::reply{200, "localhost"};
        if (asked.target == "/oauth/token") return http_server::reply{200, "token"};
        return http_server::reply{200, R"({"next_continuation_token":"c","channel_status":{}})"};
      },
      &identity);

  std::vector<std::string> lines;
  std::size_t bytes = 0;
  for (unsigned i = 0; i < 4; ++i) bytes += lines.emplace_back(make_lines(i)).size();
  account_options options;
  options.account = "bench";
  options.user = "bench";
  options.endpoint = server.url();
  options.ca_file = arguments[1];
  options.private_key = config::secret(test::key_text::make("").private_pem);
  options.proxies = {};

  asio::io_context context(1);
  auto const begun = std::chrono::steady_clock::now();
  auto const cpu = thread_seconds();
  auto done = asio::co_spawn(context, feed_all(std::move(options), lines), asio::use_future);
  context.run();
  if (auto const outcome = done.get(); !outcome) {
    fmt::print(stderr, "{}\n", outcome.error().to_text());
    return 1;
  }
  auto const rows = static_cast<double>(channels) * batches * rows_a_batch;
  auto const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  auto const line = static_cast<double>(bytes) / static_cast<double>(lines.size()) / rows_a_batch;
  fmt::print("{:.0f} rows/s of {:.0f} bytes, {:.3f} us CPU a row, compressed to {:.0f} bytes a row\n", rows / seconds,
             line, (thread_seconds() - cpu) / rows * 1e6, static_cast<double>(received) / rows);
  return 0;
}
