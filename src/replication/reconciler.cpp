#include "replication/reconciler.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace etl::replication {
namespace {

constexpr std::uint64_t short_page_header = 24;
constexpr std::uint64_t long_page_header = 40;

}  // namespace

lsn fence_of(lsn high, std::uint64_t wal_block_size, std::uint64_t wal_segment_size) {
  bool const first_page = high.value % wal_segment_size < wal_block_size;
  auto const header = first_page ? long_page_header : short_page_header;
  auto const offset = high.value % wal_block_size;
  return offset == header ? lsn{high.value - offset} : high;
}

void reconciler::begin_transaction(std::uint32_t xid) {
  in_transaction_ = true;
  if (!recording_) return;
  ++transactions_;
  recent_.push_back(xid);
  settle_recent();
}

void reconciler::start_recording_inside(std::uint32_t xid) {
  if (std::exchange(recording_, true)) return;
  begin_transaction(xid);
}

void reconciler::touched(std::uint32_t table, model::key_hash const& key) {
  if (tables_.empty()) return;
  if (auto const at = tables_.find(table); at != tables_.end()) at->second.last_touch[key] = ++touches_;
}

void reconciler::truncated(std::uint32_t table) {
  for (auto& [id, open] : chunks_) open.truncated |= open.table == table;
}

void reconciler::commit(lsn end) {
  in_transaction_ = false;
  stream_position(end);
}

void reconciler::stream_position(lsn at) { position_ = std::max(position_, at); }

void reconciler::recording_began(snapshot const& at_start, std::uint32_t next_xid) { past_ = {at_start, next_xid}; }

void reconciler::stop_recording() {
  if (!chunks_.empty()) throw std::logic_error("recording stopped while chunks are open");
  recording_ = false;
  emitted_.clear();
  recent_.clear();
  newest_.reset();
  past_.reset();
}

chunk_id reconciler::open(std::uint32_t table) {
  if (!recording_) throw std::logic_error("a chunk was opened while nothing is recorded");
  ++tables_[table].open;
  chunks_.emplace(next_id_, chunk{table, touches_, transactions_});
  return next_id_++;
}

bool reconciler::misses_unknown_past(snapshot const& taken) const {
  auto const& running = past_->at_start.running;
  bool const all_seen = std::all_of(running.begin(), running.end(),
                                    [&](std::uint64_t xid) { return taken.sees(static_cast<std::uint32_t>(xid)); });
  if (!all_seen) return true;
  // Numbers that had been given out, but were above the last that had ended, stand in no list of running ones.
  auto const first = static_cast<std::uint32_t>(past_->at_start.xmax);
  auto const count = static_cast<std::int32_t>(past_->next_xid - first);
  auto const among = [&](std::uint64_t xid) {
    auto const distance = static_cast<std::int32_t>(static_cast<std::uint32_t>(xid) - first);
    return distance >= 0 && distance < count;
  };
  bool const reaches = static_cast<std::int32_t>(static_cast<std::uint32_t>(taken.xmax) - first) >= count;
  return !reaches || std::any_of(taken.running.begin(), taken.running.end(), among);
}

verdict reconciler::snapshot_taken(chunk_id id, snapshot const& taken) {
  auto& judged = chunks_.at(id);
  // Snapshots come from several connections, and may come out of order. What a newer one saw has been forgotten, so an
  // older one cannot be judged any more.
  if (newest_ && !taken.includes(*newest_)) return verdict::take_another;
  if (past_) {
    if (misses_unknown_past(taken)) {
      // The next snapshot is yet to be taken, so R may move up to now: fewer keys to remember meanwhile.
      judged.touches_before = touches_;
      judged.transactions_before = transactions_;
      settle_recent();
      forget_old_keys(judged.table);
      return verdict::wait_for_older;
    }
    past_.reset();
  }
  auto const settled = transactions_ - recent_.size();
  auto const before = judged.transactions_before > settled ? judged.transactions_before - settled : 0;
  auto const end = recent_.begin() + static_cast<std::ptrdiff_t>(before);
  bool const misses =
      emitted_.any_unseen(taken) || std::any_of(recent_.begin(), end, [&](auto xid) { return !taken.sees(xid); });
  emitted_.forget_seen(taken);
  newest_ = taken;
  if (misses) return verdict::take_another;
  judged.judged = true;
  settle_recent();
  return verdict::ok;
}

// A transaction that was emitted before R of every chunk without a verdict needs no place in the order any more.
void reconciler::settle_recent() {
  auto first = transactions_;
  for (auto const& [id, open] : chunks_) {
    if (!open.judged) first = std::min(first, open.transactions_before);
  }
  for (auto settled = transactions_ - recent_.size(); settled < first; ++settled) {
    emitted_.add(recent_.front());
    recent_.pop_front();
  }
}

void reconciler::loaded(chunk_id id, lsn high) { chunks_.at(id).high = high; }

std::optional<chunk_id> reconciler::next_ready() const {
  if (in_transaction_) return std::nullopt;
  for (auto const& [id, open] : chunks_) {
    if (open.high && *open.high <= position_ && !open.truncated) return id;
  }
  return std::nullopt;
}

bool reconciler::keep(chunk_id id, model::key_hash const& key) const {
  auto const& open = chunks_.at(id);
  if (open.truncated) return false;
  auto const& keys = tables_.at(open.table).last_touch;
  auto const at = keys.find(key);
  return at == keys.end() || at->second <= open.touches_before;
}

void reconciler::closed(chunk_id id) {
  auto const at = chunks_.find(id);
  if (at == chunks_.end()) throw std::out_of_range("no such chunk");
  auto const table = at->second.table;
  chunks_.erase(at);
  settle_recent();
  if (--tables_.at(table).open == 0) {
    tables_.erase(table);
  } else {
    forget_old_keys(table);
  }
}

// With several workers some chunk of a large table is always open. Keys that none of the open ones needs are removed
// whenever the map has doubled, so that each touch pays for it once.
void reconciler::forget_old_keys(std::uint32_t table) {
  constexpr std::size_t worth_it = 1024;
  auto& keys = tables_.at(table);
  if (keys.last_touch.size() < 2 * keys.kept + worth_it) return;
  auto oldest = touches_;
  for (auto const& [id, open] : chunks_) {
    if (open.table == table) oldest = std::min(oldest, open.touches_before);
  }
  erase_if(keys.last_touch, [&](auto const& entry) { return entry.second <= oldest; });
  keys.kept = keys.last_touch.size();
}

std::size_t reconciler::remembered_keys() const {
  std::size_t sum = 0;
  for (auto const& [oid, keys] : tables_) sum += keys.last_touch.size();
  return sum;
}

}  // namespace etl::replication
