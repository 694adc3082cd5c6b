#include "cli/lag.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "cli/lag_view.hpp"
#include "config/load.hpp"
#include "pg/connection.hpp"
#include "runtime/deadline.hpp"
#include "runtime/pause.hpp"
#include "runtime/task_group.hpp"

namespace etl::cli {
namespace {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

// A check has to answer soon, or say why it cannot.
constexpr auto answer_within = std::chrono::milliseconds(1'000);
constexpr auto between_looks = std::chrono::milliseconds(300);

// One server, with what was seen of it the last time.
struct watched {
  pg::connect_options access;
  lag_report report;
  std::optional<monitor::server_state> before;
  clock::time_point looked{};
};

pg::connect_options access_to(std::string url, std::optional<std::string> password) {
  pg::connect_options access;
  access.url = std::move(url);
  access.password = std::move(password);
  access.application_name = "etl-stream lag";
  access.timeout = answer_within;
  return access;
}

// Pipelines of one source are looked at together.
std::vector<watched> servers_of(std::vector<config::pipeline_config> const& pipelines) {
  std::vector<watched> servers;
  for (auto const& pipeline : pipelines) {
    auto const& source = pipeline.source;
    auto at = std::ranges::find(servers, source.url.reveal(), [](watched const& w) { return w.access.url; });
    if (at == servers.end()) {
      watched fresh;
      fresh.access =
          access_to(source.url.reveal(), source.password ? std::optional(source.password->reveal()) : std::nullopt);
      servers.push_back(std::move(fresh));
      at = servers.end() - 1;
    }
    at->report.source += (at->report.source.empty() ? "" : ", ") + pipeline.name;
    at->report.ours.push_back(source.slot);
  }
  return servers;
}

asio::awaitable<result<void>> look(watched& server, bool once) {
  auto connected = co_await pg::connection::connect(server.access);
  if (!connected) co_return fail(std::move(connected));
  for (;;) {
    auto found = co_await monitor::read_slots(**connected);
    if (!found) co_return fail(std::move(found));
    auto const now = clock::now();
    if (server.before) monitor::compare(*server.before, *found, now - server.looked);
    server.looked = now;
    server.report.state = *found;
    bool const compared = server.before.has_value();
    server.before = std::move(*found);
    if (compared || !once) co_return result<void>();
    co_await runtime::pause(between_looks);
  }
}

asio::awaitable<result<void>> look_in_time(watched& server, bool once) {
  server.report.failure.reset();
  server.report.state.reset();
  auto looked =
      co_await runtime::with_deadline(look(server, once), answer_within,
                                      {severity::retry, "source.silent", "the server did not answer within a second"});
  // What the first of two looks has brought counts.
  if (!looked && !server.report.state) server.report.failure = looked.error();
  co_return result<void>();
}

asio::awaitable<void> look_at_all(std::vector<watched>& servers, bool once) {
  runtime::task_group group(co_await asio::this_coro::executor);
  for (auto& server : servers) group.spawn(look_in_time(server, once), "look");
  (void)co_await group.join();
}

bool print(std::string const& text) { return std::fputs(text.c_str(), stdout) != EOF && std::fflush(stdout) == 0; }

}  // namespace

int lag(lag_arguments const& arguments) {
  std::vector<watched> servers;
  if (!arguments.source.empty()) {
    watched server;
    server.access = access_to(arguments.source, std::nullopt);
    server.report.source = pg::without_secrets(arguments.source);
    servers.push_back(std::move(server));
  } else if (arguments.files.empty()) {
    std::fputs("etl-stream: lag needs a FILE or --source URL\netl-stream lag --help tells what there is\n", stderr);
    return exit_unknown;
  } else {
    auto loaded = config::load(arguments.files);
    for (auto const& problem : loaded.problems) std::fprintf(stderr, "%s\n", problem.to_text().c_str());
    if (!loaded.problems.empty()) return exit_unknown;
    servers = servers_of(loaded.pipelines);
  }

  monitor::thresholds const limits{arguments.warning, arguments.danger};
  bool const terminal = ::isatty(STDOUT_FILENO) == 1;
  bool const colours = terminal && std::getenv("NO_COLOR") == nullptr;
  asio::io_context core(1);
  for (;;) {
    auto looked = asio::co_spawn(core, look_at_all(servers, !arguments.watch), asio::use_future);
    core.restart();
    core.run();
    looked.get();
    std::vector<lag_report> reports;
    for (auto const& server : servers) reports.push_back(server.report);
    auto text = arguments.json ? lag_json(reports, limits) : lag_text(reports, limits, colours);
    if (arguments.watch && terminal && !arguments.json) text.insert(0, "\x1b[H\x1b[2J");
    if (!print(text)) return exit_unknown;
    if (!arguments.watch) return lag_exit_code(reports, limits);
    std::this_thread::sleep_for(std::chrono::duration<double>(*arguments.watch));
  }
}

}  // namespace etl::cli
