#pragma once

#include <cstddef>
#include <cstdint>

namespace etl::model {

// 128 bits of hash that stand for the values of one row's key. Two keys of one table are taken to be equal when their
// hashes are: with n keys in memory the chance that any two differ all the same is below n² / 2^129.
struct key_hash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend constexpr bool operator==(key_hash const&, key_hash const&) = default;
};

// For Boost.Unordered: the bits are well mixed already.
struct key_hasher {
  using is_avalanching = void;
  std::size_t operator()(key_hash const& key) const { return static_cast<std::size_t>(key.low); }
};

}  // namespace etl::model
