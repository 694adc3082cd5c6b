#include <cstdint>
#include <string_view>

#include "pgoutput/frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  pgoutput::frame out;
  if (pgoutput::decode_frame(bytes, out)) return 0;
  if (auto const* wal = std::get_if<pgoutput::xlog_data>(&out)) {
    if (wal->payload.size() + 25 != size || (size > 25 && wal->payload.data() != bytes.data() + 25)) __builtin_trap();
  }
  return 0;
}
