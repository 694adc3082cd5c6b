#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "base/lsn.hpp"
#include "model/key_hash.hpp"
#include "replication/emitted_transactions.hpp"
#include "replication/snapshot.hpp"

namespace etl::replication {

// What to do with a snapshot under which a chunk was going to be read.
enum class verdict : std::uint8_t {
  ok,
  take_another,    // it misses something that the stream has emitted: another one, in a moment
  wait_for_older,  // transactions that ran when this process began are still running; it may take long
};

using chunk_id = std::uint64_t;

// `high`, from pg_current_wal_insert_lsn(), as a place that the stream does pass. Right behind the header of a WAL page
// there is no record yet, and on an idle server the stream stays at the start of that page: 24 bytes before, 40 at the
// start of a segment.
[[nodiscard]] lsn fence_of(lsn high, std::uint64_t wal_block_size, std::uint64_t wal_segment_size);

// Lets chunks of tables, read by queries, into the stream of their changes, so that no row ends up older than the
// stream had it, or missing. docs/architecture.md, "Copy", has the reasons of the rules; they are:
//
// 1. open() the chunk first: from here on (R) the stream's keys of that table are remembered.
// 2. Then take a snapshot. It is refused unless it sees every transaction that was emitted before R.
// 3. Read the chunk under it, then ask for the WAL's insert position. All that the snapshot saw was committed below.
// 4. When the stream has passed that position, and is between two transactions, the chunk's rows are emitted, but not
//    those with a key that was emitted since R.
//
// Belongs to the pipeline's home core. Calls with the id of a chunk that is not open throw std::out_of_range.
class reconciler {
 public:
  // --- The stream, in its order: all transactions, those included whose rows are durable and are dropped.
  void begin_transaction(std::uint32_t xid);
  // A row with this key was inserted, updated (both keys, where it changes) or deleted. Costs nothing to speak of while
  // no chunk of the table is open.
  void touched(std::uint32_t table, model::key_hash const& key);
  // Touches every key: the table's open chunks are void.
  void truncated(std::uint32_t table);
  void commit(lsn end);
  // A keepalive between two transactions says that the stream has come this far.
  void stream_position(lsn at);

  // --- What the stream has emitted: recorded from construction on.
  // What earlier processes had emitted is unknown; some of it may still be invisible where commits wait for synchronous
  // standbys. Call this there before the first chunk: from then on a snapshot has to see every transaction that ran at
  // the start. `at_start` was taken after the construction of this object, and every transaction number that had been
  // given out before is below `next_xid` (SELECT pg_current_snapshot(), age('3'::xid)::bigint + 3).
  void recording_began(snapshot const& at_start, std::uint32_t next_xid);
  // While nothing is copied, recording costs memory for nothing. To start it again is to begin anew: before the next
  // chunk, recording_began() has to be called again where commits may wait. Throws std::logic_error while chunks are
  // open.
  void stop_recording();
  void start_recording() { recording_ = true; }
  // The same while the stream is inside of a transaction, which counts as emitted after this.
  void start_recording_inside(std::uint32_t xid);

  // --- Chunks.
  // Throws std::logic_error when recording was stopped.
  [[nodiscard]] chunk_id open(std::uint32_t table);
  // Judges a snapshot that was taken after open(), and after the verdict on the one before.
  [[nodiscard]] verdict snapshot_taken(chunk_id chunk, snapshot const& taken);
  // The chunk was read; `high` as by fence_of().
  void loaded(chunk_id chunk, lsn high);
  // The first chunk that may be emitted now, or nothing. Goes on being it until closed() or abandon().
  [[nodiscard]] std::optional<chunk_id> next_ready() const;
  // Whether the chunk's row with this key is to be emitted.
  [[nodiscard]] bool keep(chunk_id chunk, model::key_hash const& key) const;
  // Its table was truncated since it was opened: abandon it.
  [[nodiscard]] bool is_void(chunk_id chunk) const { return chunks_.at(chunk).truncated; }
  // It was emitted, or comes to nothing.
  void closed(chunk_id chunk);
  void abandon(chunk_id chunk) { closed(chunk); }

  // How many keys are remembered, of all tables; 25 to 60 bytes each. A chunk that stays open long makes it grow.
  [[nodiscard]] std::size_t remembered_keys() const;
  [[nodiscard]] std::size_t open_chunks() const { return chunks_.size(); }

 private:
  struct chunk {
    std::uint32_t table;
    std::uint64_t touches_before;       // R, on the scale of touches_
    std::uint64_t transactions_before;  // R, on the scale of transactions_
    bool judged = false;
    bool truncated = false;
    std::optional<lsn> high{};
  };
  struct table_keys {
    boost::unordered_flat_map<model::key_hash, std::uint64_t, model::key_hasher> last_touch;
    std::size_t kept = 0;  // size after the last clean-up
    unsigned open = 0;
  };
  struct unknown_past {
    snapshot at_start;
    std::uint32_t next_xid;
  };

  [[nodiscard]] bool misses_unknown_past(snapshot const& taken) const;
  void settle_recent();
  void forget_old_keys(std::uint32_t table);

  std::map<chunk_id, chunk> chunks_;
  boost::unordered_flat_map<std::uint32_t, table_keys> tables_;  // those with open chunks
  chunk_id next_id_ = 1;
  std::uint64_t touches_ = 0;
  std::uint64_t transactions_ = 0;
  lsn position_{};
  bool in_transaction_ = false;
  bool recording_ = true;

  emitted_transactions emitted_;
  // The newest of them, in their order, while a chunk waits for its verdict: for it, some are after R.
  std::deque<std::uint32_t> recent_;
  std::optional<snapshot> newest_;  // what it sees is no longer in emitted_
  std::optional<unknown_past> past_;
};

}  // namespace etl::replication
