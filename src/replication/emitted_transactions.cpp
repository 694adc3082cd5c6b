#include "replication/emitted_transactions.hpp"

#include <algorithm>

namespace etl::replication {
namespace {

// How far `xid` lies from the snapshot's xmax; negative: below.
std::int32_t from_xmax(std::uint32_t xid, snapshot const& taken) {
  return static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(taken.xmax));
}

}  // namespace

bool emitted_transactions::contains(std::uint32_t xid) const {
  auto const at = blocks_.find(xid / block_bits);
  return at != blocks_.end() && (at->second[xid % block_bits / 64] >> xid % 64 & 1) != 0;
}

bool emitted_transactions::any_unseen(snapshot const& taken) const {
  auto const listed = [&](std::uint64_t xid) { return contains(static_cast<std::uint32_t>(xid)); };
  if (std::any_of(taken.running.begin(), taken.running.end(), listed)) return true;
  for (auto const& [number, bits] : blocks_) {
    auto const first = number * block_bits;
    if (from_xmax(first + (block_bits - 1), taken) < 0) continue;
    for (std::uint32_t i = 0; i < block_bits; ++i) {
      if ((bits[i / 64] >> i % 64 & 1) != 0 && from_xmax(first + i, taken) >= 0) return true;
    }
  }
  return false;
}

void emitted_transactions::forget_seen(snapshot const& taken) {
  erase_if(blocks_, [&](auto const& entry) {
    auto const first = entry.first * block_bits;
    auto const end_distance = from_xmax(first + (block_bits - 1), taken);
    if (end_distance >= 0) return false;
    auto const last = taken.xmax + static_cast<std::uint64_t>(static_cast<std::int64_t>(end_distance));
    auto const low = last < block_bits ? 0 : last - (block_bits - 1);
    auto const named = std::lower_bound(taken.running.begin(), taken.running.end(), low);
    return named == taken.running.end() || *named > last;
  });
}

}  // namespace etl::replication
