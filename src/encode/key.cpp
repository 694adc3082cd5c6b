#include "encode/key.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>

namespace etl::encode {
namespace {

// Stands for the length of a value that has none.
std::uint32_t length_of(pgoutput::value const& v) {
  switch (v.kind) {
    case pgoutput::value_kind::null:
      return UINT32_MAX;
    case pgoutput::value_kind::unchanged:
      return UINT32_MAX - 1;
    case pgoutput::value_kind::text:
    case pgoutput::value_kind::binary:
      break;
  }
  return static_cast<std::uint32_t>(v.data.size());
}

model::key_hash from(XXH128_hash_t hash) { return {hash.low64, hash.high64}; }

}  // namespace

model::key_hash hash_key(pgoutput::tuple row, std::span<std::uint16_t const> key) {
  // Nearly every key is short: one call of the hash over a copy beats feeding it piece by piece.
  std::array<char, 256> together;
  std::size_t size = 0;
  for (auto const index : key) {
    auto const& v = row[index];
    if (together.size() - size < sizeof(std::uint32_t) + v.data.size()) {
      size = together.size() + 1;
      break;
    }
    auto const length = length_of(v);
    std::memcpy(together.data() + size, &length, sizeof length);
    size += sizeof length;
    if (!v.data.empty()) std::memcpy(together.data() + size, v.data.data(), v.data.size());
    size += v.data.size();
  }
  if (size <= together.size()) return from(XXH3_128bits(together.data(), size));

  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  for (auto const index : key) {
    auto const length = length_of(row[index]);
    XXH3_128bits_update(&state, &length, sizeof length);
    XXH3_128bits_update(&state, row[index].data.data(), row[index].data.size());
  }
  return from(XXH3_128bits_digest(&state));
}

}  // namespace etl::encode
