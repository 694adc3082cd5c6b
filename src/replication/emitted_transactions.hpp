#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>

#include "replication/snapshot.hpp"

namespace etl::replication {

// A set of transaction numbers (32 bits, modulo 2^32), made to ask whether a snapshot misses one of them. Transaction
// numbers are dense, so it is kept as blocks of bits: about 80 bytes for 512 numbers.
class emitted_transactions {
 public:
  void add(std::uint32_t xid) { blocks_[xid / block_bits][xid % block_bits / 64] |= std::uint64_t{1} << xid % 64; }
  // Whether one of them is not visible in `taken`.
  [[nodiscard]] bool any_unseen(snapshot const& taken) const;
  // Drops those that are visible in `taken`, and therefore in every later snapshot; some of them may stay.
  void forget_seen(snapshot const& taken);
  void clear() { blocks_.clear(); }

  [[nodiscard]] std::size_t blocks() const { return blocks_.size(); }

 private:
  static constexpr std::uint32_t block_bits = 512;
  using block = std::array<std::uint64_t, block_bits / 64>;

  [[nodiscard]] bool contains(std::uint32_t xid) const;

  boost::unordered_flat_map<std::uint32_t, block> blocks_;  // by number / block_bits
};

}  // namespace etl::replication
