#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "pgoutput/message.hpp"

// What travels inside the CopyData messages of START_REPLICATION: PostgreSQL manual, "Streaming Replication Protocol".
namespace pgoutput {

// `payload` is one logical replication message, for decoder::decode().
struct xlog_data {
  std::uint64_t start;
  std::uint64_t end;
  std::int64_t server_time;
  std::string_view payload;
};

struct keepalive {
  std::uint64_t end;  // how far the server has read its WAL
  std::int64_t server_time;
  bool reply_requested;
};

using frame = std::variant<xlog_data, keepalive>;

// Takes the contents of one CopyData message apart; `out` borrows from it. Nothing when it succeeds; `out` is
// unspecified when it fails.
[[nodiscard]] std::optional<failure> decode_frame(std::string_view copy_data, frame& out);

// A standby status update: LSNs up to which the client has written, flushed and applied. The server frees WAL up to
// `flushed`. `now` is the client's clock; `reply_requested` asks the server for a keepalive at once.
[[nodiscard]] std::array<char, 34> encode_standby_status(std::uint64_t written, std::uint64_t flushed,
                                                         std::uint64_t applied, std::int64_t now, bool reply_requested);

}  // namespace pgoutput
