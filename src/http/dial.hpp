#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <string>

#include "base/error.hpp"

namespace etl::http {

namespace asio = boost::asio;

// A TCP connection to the first address of `host` that takes one, each given its share of `limit`. Resolves names
// without blocking the core. Cancellable at once, also while a name server is silent. Errors (retry): http.resolve,
// http.unknown_host (there is no such name), http.connect.
asio::awaitable<result<asio::ip::tcp::socket>> dial(std::string host, std::uint16_t port,
                                                    std::chrono::steady_clock::duration limit);

// Cancellation travels as an exception to the root of its task; every other outcome is a result.
inline void throw_if_cancelled(boost::system::error_code outcome) {
  if (outcome == asio::error::operation_aborted) throw boost::system::system_error(outcome);
}

}  // namespace etl::http
