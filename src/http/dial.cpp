#include "http/dial.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <vector>

#include "runtime/deadline.hpp"

namespace etl::http {
namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;
constexpr auto token = asio::as_tuple(asio::use_awaitable);

// A name's resolution cannot be called off: whoever waits for it waits at a timer, and what comes later finds this.
struct resolution {
  explicit resolution(asio::any_io_executor const& executor)
      : resolver(executor), over(executor, asio::steady_timer::time_point::max()) {}

  tcp::resolver resolver;
  asio::steady_timer over;
  boost::system::error_code failed;
  std::vector<tcp::endpoint> found;
  bool ended = false;
};

asio::awaitable<result<std::vector<tcp::endpoint>>> resolve(std::string const& host, std::uint16_t port) {
  boost::system::error_code is_name;
  auto const address = asio::ip::make_address(host, is_name);
  if (!is_name) co_return std::vector{tcp::endpoint(address, port)};

  auto const state = std::make_shared<resolution>(co_await asio::this_coro::executor);
  state->resolver.async_resolve(host, std::to_string(port), tcp::resolver::address_configured,
                                [state](boost::system::error_code failed, tcp::resolver::results_type const& found) {
                                  state->failed = failed;
                                  for (auto const& one : found) state->found.push_back(one.endpoint());
                                  state->ended = true;
                                  state->over.cancel();
                                });
  auto const [woken] = co_await state->over.async_wait(token);
  if (!state->ended) throw_if_cancelled(woken);
  if (state->failed) {
    bool const unknown = state->failed == asio::error::host_not_found;
    co_return error{severity::retry, unknown ? "http.unknown_host" : "http.resolve",
                    fmt::format("cannot resolve {}: {}", host, state->failed.message()), "Check the host's name."};
  }
  co_return std::move(state->found);
}

asio::awaitable<result<tcp::socket>> connect(tcp::endpoint where) {
  tcp::socket socket(co_await asio::this_coro::executor);
  auto const [failed] = co_await socket.async_connect(where, token);
  throw_if_cancelled(failed);
  if (failed) co_return error{severity::retry, "http.connect", failed.message()};
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  co_return std::move(socket);
}

}  // namespace

asio::awaitable<result<tcp::socket>> dial(std::string host, std::uint16_t port, steady_clock::duration limit) {
  auto const until = steady_clock::now() + limit;
  error const too_late{severity::retry, "http.connect", "no answer"};
  auto addresses = co_await runtime::with_deadline(
      resolve(host, port), limit, {severity::retry, "http.resolve", fmt::format("resolving {} took too long", host)});
  if (!addresses) co_return fail(std::move(addresses));
  std::string failures;
  for (std::size_t i = 0; i < addresses->size(); ++i) {
    auto const left = until - steady_clock::now();
    if (left <= steady_clock::duration::zero()) break;
    auto const share = left / static_cast<long>(addresses->size() - i);
    auto socket = co_await runtime::with_deadline(connect((*addresses)[i]), share, too_late);
    if (socket) co_return std::move(socket).value();
    failures += fmt::format("{}{}: {}", failures.empty() ? "" : ", ", (*addresses)[i].address().to_string(),
                            socket.error().message);
  }
  co_return error{severity::retry, "http.connect", fmt::format("no connection to {}:{} ({})", host, port, failures),
                  "Check host, port, firewall, and whether a proxy is needed (HTTPS_PROXY)."};
}

}  // namespace etl::http
