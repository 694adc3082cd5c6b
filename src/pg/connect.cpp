#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <map>

#include "pg/connection.hpp"
#include "pg/wait.hpp"

namespace etl::pg {
namespace {

using parameters = std::map<std::string, std::string, std::less<>>;

struct free_options {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};

result<parameters> parse(std::string const& url) {
  char* message = nullptr;
  std::unique_ptr<PQconninfoOption, free_options> const parsed(PQconninfoParse(url.c_str(), &message));
  if (!parsed) {
    error failure{severity::config, "postgres.url", "the connection string cannot be read"};
    failure.hint =
        "Write it as postgres://user@host:5432/database or as host=… dbname=… (percent-encode special characters).";
    failure.server_text = message != nullptr ? message : "";  // libpq quotes parts of the string, passwords included
    PQfreemem(message);
    return failure;
  }
  parameters found;
  for (auto const* option = parsed.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) found[option->keyword] = option->val;
  return found;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    auto const comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

std::string join(std::vector<std::string> const& parts) { return fmt::format("{}", fmt::join(parts, ",")); }

bool needs_resolving(std::string const& host) {
  if (host.empty() || host.front() == '/' || host.front() == '@') return false;
  boost::system::error_code not_numeric;
  asio::ip::make_address(host, not_numeric);
  return static_cast<bool>(not_numeric);
}

// libpq resolves names with a blocking getaddrinfo(); Asio does it on a thread of its own. Every address of a name
// becomes a host of its own in libpq's list, so that they are tried in turn.
asio::awaitable<result<void>> resolve(parameters& wanted) {
  if (wanted.contains("hostaddr") || wanted.contains("service")) co_return result<void>();
  if (!wanted.contains("host")) {
    char const* const from_environment = std::getenv("PGHOST");
    if (from_environment == nullptr) co_return result<void>();
    wanted["host"] = from_environment;
  }
  auto const hosts = split(wanted["host"]);
  if (std::none_of(hosts.begin(), hosts.end(), needs_resolving)) co_return result<void>();

  auto const ports = wanted.contains("port") ? split(wanted["port"]) : std::vector<std::string>{};
  std::vector<std::string> all_hosts, addresses, all_ports;
  std::string failures;
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    std::vector<std::string> found;
    if (needs_resolving(hosts[i])) {
      auto [failed, entries] = co_await resolver.async_resolve(hosts[i], "", asio::as_tuple(asio::use_awaitable));
      throw_if_cancelled(failed);
      if (failed) failures += fmt::format("{}{}: {}", failures.empty() ? "" : ", ", hosts[i], failed.message());
      for (auto const& entry : entries) {
        auto address = entry.endpoint().address().to_string();
        if (std::find(found.begin(), found.end(), address) == found.end()) found.push_back(std::move(address));
      }
    } else {
      found.push_back(hosts[i].empty() || hosts[i].front() == '/' || hosts[i].front() == '@' ? "" : hosts[i]);
    }
    for (auto& address : found) {
      all_hosts.push_back(hosts[i]);
      addresses.push_back(std::move(address));
      if (!ports.empty()) all_ports.push_back(ports.size() == 1 ? ports.front() : i < ports.size() ? ports[i] : "");
    }
  }
  if (all_hosts.empty()) {
    co_return error{severity::retry, "postgres.resolve", fmt::format("cannot resolve {}", failures),
                    "Check the host name in the url."};
  }
  wanted["host"] = join(all_hosts);
  wanted["hostaddr"] = join(addresses);
  if (!all_ports.empty()) wanted["port"] = join(all_ports);
  co_return result<void>();
}

std::string start_up_options(parameters const& wanted,
                             std::vector<std::pair<std::string, std::string>> const& settings) {
  auto const own = wanted.find("options");
  std::string options = own == wanted.end() ? "" : own->second;
  for (auto const& [name, value] : settings) {
    if (!options.empty()) options += ' ';
    options += fmt::format("-c {}=", name);
    for (char const c : value) {
      if (c == ' ' || c == '\\') options += '\\';
      options += c;
    }
  }
  return options;
}

// With verbose messages libpq writes "FATAL:  28P01: password …": the only way to a SQLSTATE before the session is up.
std::string sqlstate_in(std::string_view message) {
  for (std::size_t at = message.find(":  "); at != std::string_view::npos; at = message.find(":  ", at + 1)) {
    auto const code = message.substr(at + 3, 5);
    auto const is_code = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
    if (code.size() == 5 && std::all_of(code.begin(), code.end(), is_code) && message.substr(at + 8, 2) == ": ") {
      return std::string(code);
    }
  }
  return {};
}

std::string first_line(std::string_view message) {
  auto line = message.substr(0, message.find('\n'));
  return std::string(line);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> canonical_text_settings() {
  return {
      {"DateStyle", "ISO"},
      {"IntervalStyle", "postgres"},
      {"extra_float_digits", "3"},
      {"bytea_output", "hex"},
      {"TimeZone", "UTC"},
      {"lc_monetary", "C"},
      {"array_nulls", "on"},
      {"xmloption", "content"},
      {"standard_conforming_strings", "on"},
      {"transform_null_equals", "off"},
      {"search_path", ""},
      {"quote_all_identifiers", "off"},  // in the names of types
      {"default_transaction_isolation", "read committed"},
      {"default_transaction_deferrable", "off"},
      {"statement_timeout", "0"},
      {"lock_timeout", "0"},
      {"idle_in_transaction_session_timeout", "0"},
      {"row_security", "off"},  // a policy that hides rows becomes an error, not a silent gap
      {"jit", "off"},
  };
}

asio::awaitable<result<std::unique_ptr<connection>>> connection::connect(connect_options options) {
  using namespace asio::experimental::awaitable_operators;
  auto const executor = co_await asio::this_coro::executor;
  std::unique_ptr<connection> made(new connection(executor));
  if (options.admit) made->permit_ = co_await options.admit();
  asio::steady_timer deadline(executor, options.timeout);
  auto const where = without_secrets(options.url);
  auto const seconds = std::chrono::duration<double>(options.timeout).count();
  auto outcome = co_await (made->open(std::move(options)) || deadline.async_wait(asio::as_tuple(asio::use_awaitable)));
  if (outcome.index() == 1) {
    throw_if_cancelled(std::get<0>(std::get<1>(outcome)));
    co_return error{severity::retry, "postgres.connect_timeout",
                    fmt::format("no connection to {} within {:g} s", where, seconds),
                    "Check host, port and firewall; connect_timeout sets how long to wait."};
  }
  auto& opened = std::get<0>(outcome);
  if (!opened) co_return fail(std::move(opened));
  co_return std::move(made);
}

asio::awaitable<result<void>> connection::open(connect_options options) {
  auto parsed = parse(options.url);
  if (!parsed) co_return fail(std::move(parsed));
  auto& wanted = parsed.value();
  if (auto resolved = co_await resolve(wanted); !resolved) co_return fail(std::move(resolved));
  if (options.password) wanted["password"] = *options.password;
  if (options.replication) wanted["replication"] = "database";
  wanted.try_emplace("application_name", options.application_name);
  wanted["client_encoding"] = "UTF8";
  wanted["options"] = start_up_options(wanted, options.settings);
  // A peer that vanished without a word is noticed by the kernel, too.
  wanted.try_emplace("keepalives_idle", "15");
  wanted.try_emplace("keepalives_interval", "5");
  wanted.try_emplace("keepalives_count", "3");

  std::vector<char const*> names, values;
  for (auto const& [name, value] : wanted) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  conn_ = PQconnectStartParams(names.data(), values.data(), 1);
  if (conn_ == nullptr) throw std::bad_alloc();
  PQsetErrorVerbosity(conn_, PQERRORS_VERBOSE);
  PQsetNoticeProcessor(conn_, [](void*, char const*) {}, nullptr);

  auto step = PQstatus(conn_) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (step != PGRES_POLLING_OK) {
    if (step == PGRES_POLLING_FAILED) {
      std::string_view const message = PQerrorMessage(conn_);
      auto const state = sqlstate_in(message);
      auto failure =
          server_error(state, first_line(message), "", fmt::format("connecting to {}", without_secrets(options.url)));
      failure.code = "postgres.connect";
      // 3D000 and 28xxx: wrong database, role or password. Nobody mends those by waiting.
      if (!state.empty() && (state.starts_with("28") || state == "3D000")) failure.kind = severity::config;
      co_return failure;
    }
    socket_.assign(PQsocket(conn_));
    auto const direction = step == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                         : asio::posix::stream_descriptor::wait_write;
    auto [failed] = co_await socket_.async_wait(direction, asio::as_tuple(asio::use_awaitable));
    // libpq may close this socket and open another under the same number: it must not be registered meanwhile.
    socket_.release();
    throw_if_cancelled(failed);
    step = PQconnectPoll(conn_);
  }
  socket_.assign(PQsocket(conn_));
  PQsetErrorVerbosity(conn_, PQERRORS_DEFAULT);
  if (PQsetnonblocking(conn_, 1) != 0) co_return connection_error("setting the connection up");
  // Such a server converts nothing and knows no letters, yet it would refuse what is not UTF-8 from a client that
  // claims to write that. This way its bytes come and go as they are.
  if (parameter_status("server_encoding") == "SQL_ASCII") {
    auto set = co_await query("SET client_encoding = 'SQL_ASCII'", "setting the connection up");
    if (!set) co_return fail(std::move(set));
  }
  co_return result<void>();
}

}  // namespace etl::pg
