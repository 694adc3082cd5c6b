#include "destination/snowflake/sdk_transport.hpp"

#include <fmt/format.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <boost/asio/this_coro.hpp>

#include "base/log.hpp"
#include "destination/snowflake/sdk_transport_source.hpp"
#include "python/objects.hpp"
#include "runtime/pause.hpp"

namespace etl::destination::snowflake {
namespace {

namespace py = pybind11;

constexpr auto call_limit = std::chrono::minutes(3);  // above the SDK's own budgets
// Nothing is waited for but the interpreter: with a service that stalls, that may be in the SDK's hands.
constexpr auto close_limit = std::chrono::milliseconds(400);
// How long rows wait when the SDK has no room for them.
constexpr auto busy_pause = std::chrono::milliseconds(20);

error failed(std::string const& kind, std::string const& channel, std::string text) {
  error failure{.kind = severity::retry, .server_text = std::move(text)};
  if (kind == "fenced") {
    failure.code = "snowflake.fenced";
    failure.message = fmt::format("somebody else has opened channel {}", channel);
  } else if (kind == "invalid") {
    failure.code = "snowflake.channel_invalid";
    failure.message = fmt::format("channel {} has to be opened again", channel);
  } else if (kind == "refused") {
    failure.kind = severity::config;
    failure.code = "snowflake.sdk_refused";
    failure.message = fmt::format("Snowflake's SDK refuses the settings for channel {}", channel);
    failure.hint = "Look at account, user, private_key and database; --log-level debug shows the SDK's own words.";
  } else {
    failure.code = "snowflake.sdk";
    failure.message = fmt::format("Snowflake's SDK failed for channel {}", channel);
  }
  return failure;
}

channel_status status_of(py::handle told) {
  auto const fields = py::cast<py::tuple>(told);
  return {.committed = py::cast<std::string>(fields[0]),
          .inserted = py::cast<std::uint64_t>(fields[1]),
          .errors = py::cast<std::uint64_t>(fields[2]),
          .last_error = py::cast<std::string>(fields[3]),
          .last_error_bound = py::cast<std::string>(fields[4]),
          .valid = py::cast<bool>(fields[5])};
}

}  // namespace

// What lives in the interpreter. Shared with the jobs, which may run on when their caller is gone.
struct sdk_transport::python_side {
  explicit python_side(python::interpreter const& owner) : made(owner) {}
  python::object_slot made;

  // The value, or the error that the answer stands for. Python thread.
  template <class... Arguments>
  result<py::object> call(char const* method, std::string const& channel, Arguments&&... arguments) {
    auto const answer = py::cast<py::tuple>(made.get().attr(method)(std::forward<Arguments>(arguments)...));
    auto const kind = py::cast<std::string>(answer[0]);
    if (kind == "ok") return py::object(answer[1]);
    if (kind == "busy") return py::object();
    return failed(kind, channel, py::cast<std::string>(answer[1]));
  }
};

sdk_transport::sdk_transport(sdk_options options)
    : options_(std::move(options)), there_(std::make_shared<python_side>(*options_.python)) {}

sdk_transport::~sdk_transport() = default;

asio::awaitable<result<void>> sdk_transport::start() {
  auto const load = [there = there_, options = options_]() -> result<void> {
    auto const module = python::load_source("etl_stream_snowflake", sdk_transport_source, "sdk_transport.py");
    py::dict config;
    config["pipeline"] = options.pipeline;
    config["account"] = options.account;
    config["endpoint"] = options.endpoint;
    config["ca_file"] = options.ca_file;
    config["user"] = options.user;
    config["private_key"] = options.private_key.reveal();
    config["passphrase"] = options.passphrase.reveal();
    config["role"] = options.role;
    config["database"] = options.database;
    config["schema"] = options.schema;
    there->made.hold(module.attr("Transport")(config));
    return result<void>();
  };
  co_return co_await options_.python->run(load, call_limit);
}

asio::awaitable<result<channel_status>> sdk_transport::open(std::string table, std::string channel) {
  auto const open = [there = there_, table, channel]() -> result<channel_status> {
    auto told = there->call("open", channel, table, channel);
    if (!told) return fail(std::move(told));
    if (!*told) return failed("failed", channel, "busy");
    return status_of(*told);
  };
  co_return co_await options_.python->run(open, call_limit);
}

asio::awaitable<result<void>> sdk_transport::append(std::string const& channel, std::string_view rows,
                                                    std::size_t count, position first, position last) {
  auto const kept = std::make_shared<std::string const>(rows);
  for (;;) {
    auto const append = [there = there_, kept, channel, count, first, last]() -> result<bool> {
      auto told = there->call("append", channel, channel, py::bytes(*kept), count, first.to_text(), last.to_text());
      if (!told) return fail(std::move(told));
      return static_cast<bool>(*told);
    };
    auto taken = co_await options_.python->run(append, call_limit);
    if (!taken) co_return fail(std::move(taken));
    if (*taken) co_return result<void>();
    co_await runtime::pause(busy_pause);
  }
}

asio::awaitable<result<std::vector<channel_status>>> sdk_transport::status(std::vector<std::string> const& channels) {
  auto const ask = [there = there_, channels]() -> result<std::vector<channel_status>> {
    auto told = there->call("status", channels.front(), channels);
    if (!told) return fail(std::move(told));
    std::vector<channel_status> all;
    if (!*told) return failed("failed", channels.front(), "busy");
    for (auto const& one : py::cast<py::list>(*told)) {
      if (one.is_none()) return failed("invalid", channels[all.size()], "the service does not know it");
      all.push_back(status_of(one));
    }
    return all;
  };
  co_return co_await options_.python->run(ask, call_limit);
}

asio::awaitable<void> sdk_transport::close() {
  auto const end = [there = there_]() -> result<void> {
    if (!there->made.get()) return result<void>();
    auto told = there->call("close", "");
    if (!told) return fail(std::move(told));
    return result<void>();
  };
  auto ended = co_await options_.python->run(end, close_limit);
  if (!ended) log::write(log::level::warning, "Snowflake's SDK did not close in time", ended.error());
}

}  // namespace etl::destination::snowflake
