#include "pgoutput/frame.hpp"

#include "cursor.hpp"

namespace pgoutput {

std::optional<failure> decode_frame(std::string_view copy_data, frame& out) {
  cursor in(copy_data);
  switch (in.letter()) {
    case 'w':
      out = xlog_data{.start = in.u64(), .end = in.u64(), .server_time = in.i64(), .payload = in.rest()};
      break;
    case 'k':
      out = keepalive{.end = in.u64(), .server_time = in.i64(), .reply_requested = in.byte() != 0};
      break;
    default:
      in.fail("unknown kind of frame");
  }
  return in.finish();
}

std::array<char, 34> encode_standby_status(std::uint64_t written, std::uint64_t flushed, std::uint64_t applied,
                                           std::int64_t now, bool reply_requested) {
  std::array<char, 34> status{'r'};
  auto* at = status.data() + 1;
  for (auto const field : {written, flushed, applied, static_cast<std::uint64_t>(now)}) {
    for (int shift = 56; shift >= 0; shift -= 8) *at++ = static_cast<char>(field >> shift);
  }
  *at = reply_requested ? 1 : 0;
  return status;
}

}  // namespace pgoutput
