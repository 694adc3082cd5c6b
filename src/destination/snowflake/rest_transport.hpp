#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.hpp"
#include "destination/snowflake/transport.hpp"
#include "http/message.hpp"

struct ZSTD_CCtx_s;

namespace etl::destination::snowflake {

struct rest_options {
  // Sends a request to the ingest host, with a token that is valid.
  std::function<asio::awaitable<result<http::response>>(http::request)> send;
  std::string database;
  std::string schema;               // of the landing tables
  std::size_t position_offset = 0;  // in every line: where the text of its position begins
  // For how long a request is tried again that the service or the network could not see to.
  std::chrono::milliseconds retry_for{60'000};
  // For how long open() waits for rows of an earlier session to be committed.
  std::chrono::milliseconds commit_for{30'000};
  // Appends to one channel begin at least this much apart: the service takes ten a second of each. Meanwhile the
  // pipeline gathers what comes next, so a trickle of transactions makes few requests.
  std::chrono::milliseconds spacing{100};
};

// Snowpipe Streaming's REST interface (Snowflake documentation, "Snowpipe Streaming REST endpoints"): lines compressed
// here, at most 4 MB a request, one request at a time for each channel. A request whose answer got lost is sent again
// with the same continuation token, which the service takes for what it is: the same rows.
//
// Errors besides those of transport: what `send` returns; `snowflake.unavailable` (retry) when trying again did not
// help; `snowflake.request` (config) for what only the user can mend; `snowflake.row_too_large` (config).
class rest_transport final : public transport {
 public:
  explicit rest_transport(rest_options options);
  ~rest_transport() override;

  asio::awaitable<result<channel_status>> open(std::string table, std::string channel) override;
  asio::awaitable<result<void>> append(std::string const& channel, std::string_view rows, std::size_t count,
                                       position first, position last) override;
  asio::awaitable<result<std::vector<channel_status>>> status(std::vector<std::string> const& channels) override;
  asio::awaitable<void> close() override;

 private:
  struct session {
    std::string table;
    std::string continuation;  // token of the next append
    std::chrono::steady_clock::time_point not_before{};
  };
  struct release {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  using statuses = std::map<std::string, channel_status>;

  [[nodiscard]] std::string pipe_path(std::string_view before, std::string const& table) const;
  [[nodiscard]] position position_of(std::string_view row) const;
  result<void> compress(std::string_view rows, buffer& into);
  asio::awaitable<result<void>> append_one(std::string const& channel, std::string_view packed, std::size_t unpacked,
                                           position last);
  asio::awaitable<result<void>> status_of(std::string table, std::vector<std::string> channels, statuses& into);
  // Tries again what may pass. Any other answer than 2xx is an error.
  asio::awaitable<result<http::response>> request(http::request what, std::string_view channel);

  rest_options options_;
  std::map<std::string, session> sessions_;  // by channel
  std::unique_ptr<ZSTD_CCtx_s, release> zstd_;
};

}  // namespace etl::destination::snowflake
