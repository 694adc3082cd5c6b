#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/lsn.hpp"

namespace etl::destination::snowflake {

namespace asio = boost::asio;

// What the service says of a channel. Its counters begin when the channel is made, not when it is opened.
struct channel_status {
  std::string committed;         // offset token; empty: none yet
  std::uint64_t inserted = 0;    // rows_inserted
  std::uint64_t errors = 0;      // rows_error_count: rows that were left out while the offset went on
  std::string last_error;        // the service's words; may quote values
  std::string last_error_bound;  // offset token at or above that of the last refused row
  bool valid = true;             // false: has to be opened again
};

// How rows get into the channels of landing tables: Snowpipe Streaming, by the SDK or by REST. Home core. Calls for one
// channel come one at a time, those for different channels may overlap. Every call may be cancelled, after which only
// close() is allowed. Errors of severity `retry` with these codes mean something to the caller:
//
//   snowflake.channel_invalid  the channel has to be opened again, and all behind its committed offset to be sent again
//   snowflake.fenced           somebody has opened the channel since; the same cure, unless it is another process
class transport {
 public:
  virtual ~transport() = default;

  // Opens a channel of a landing table, or opens it again. Waits for rows of an earlier session to be committed, so
  // that the offset says all there is; snowflake.uncommitted_rows when that takes too long.
  virtual asio::awaitable<result<channel_status>> open(std::string table, std::string channel) = 0;
  // Sends `count` NDJSON lines at the positions from `first` to `last`. On return they are accepted, not committed:
  // status() tells when the offset has reached `last`. `rows` is borrowed until then.
  virtual asio::awaitable<result<void>> append(std::string const& channel, std::string_view rows, std::size_t count,
                                               position first, position last) = 0;
  // In the order of `channels`, which are open.
  virtual asio::awaitable<result<std::vector<channel_status>>> status(std::vector<std::string> const& channels) = 0;
  // Lets go of connections, with a deadline of its own. The channels stay, with what was accepted.
  virtual asio::awaitable<void> close() = 0;
};

}  // namespace etl::destination::snowflake
