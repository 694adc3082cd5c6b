#pragma once

#include <cstdint>
#include <utility>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "destination/destination.hpp"
#include "model/batch.hpp"
#include "model/key_hash.hpp"
#include "pgoutput/decoder.hpp"
#include "pipeline/row_encoder.hpp"

namespace etl::pipeline {

// The rows of one copy chunk, encoded by a worker; positions are filled in when the chunk is emitted. Or rows of a
// table without a key that the stream removed while it was copied: these go out behind the last chunk.
struct chunk_rows {
  model::relation_ptr table;
  buffer bytes;
  std::vector<model::row> rows;
  std::vector<model::key_hash> hashes;  // of each row's key; empty for tables without one
  bool removals = false;
};

struct batch_limits {
  std::size_t max_rows;
  std::size_t max_bytes;
};

// Gathers rows into the batch that the writer takes next: encodes each straight from the decoded tuple, one growing
// segment a table. Lives on the home core.
class batch_builder {
 public:
  batch_builder(destination::capabilities const& can, destination::encoding wants, batch_limits limits);

  // What a table's rows need to be appended: its encoder and where its open segment is. One for each schema version.
  class target {
   public:
    target(model::relation_ptr table, row_encoder encoder) : table_(std::move(table)), encoder_(std::move(encoder)) {}
    [[nodiscard]] model::relation_ptr const& table() const { return table_; }
    // The table's copy goes on: told to the destination with the rows that follow.
    bool copying = false;

   private:
    friend class batch_builder;
    model::relation_ptr table_;
    row_encoder encoder_;
    // The open segment of each lane: its index, and the builder's generation when it was opened.
    struct open_segment {
      std::uint64_t generation = 0;
      std::size_t index = 0;
    };
    std::vector<open_segment> segments_;
  };

  result<void> add(target& to, model::operation kind, position at, std::int64_t commit_time, pgoutput::tuple old_values,
                   pgoutput::tuple new_row);
  void add_truncation(model::truncation event);
  // `first` is the position of the chunk's first row; the others count up from it.
  void add_chunk(chunk_rows chunk, position first);
  void add_document(model::document entry);
  // Rows that follow go into new segments: what comes next must stay behind what is there. For a new schema version.
  void close_segments() { ++generation_; }
  // The rows so far are a whole number of transactions.
  void end_transaction(position last, lsn end, std::int64_t commit_time);
  void begin_transaction() { at_boundary_ = false; }

  // Nothing to send. When the last batch ended inside a transaction that has ended since, its end is to be sent, even
  // without a row.
  [[nodiscard]] bool empty() const { return current_.empty() && !(owes_end_ && at_boundary_); }
  // What was taken so far ends inside a transaction, and the destination cannot make half of one durable.
  [[nodiscard]] bool owes_end() const { return owes_end_ && !splits_transactions_; }
  [[nodiscard]] bool at_boundary() const { return at_boundary_; }
  // Nothing more is to be added before the writer takes it. A destination that cannot split transactions keeps its own
  // open when a batch ends inside one. In a flood every batch would, and nothing be committed; so above half of the
  // limits a batch ends with the transaction at hand, and so does the batch after one that ended inside.
  [[nodiscard]] bool full() const {
    return reaches(1) || (!splits_transactions_ && at_boundary_ && (owes_end_ || reaches(2)));
  }
  // The batch so far; the next begins empty. Not empty, please.
  [[nodiscard]] model::batch take();

 private:
  model::table_rows& segment_of(target& to, std::uint16_t lane, position at);
  // Rows without a key go by their position: any lane will do, as long as it is the same when they come again.
  [[nodiscard]] std::uint16_t lane_of(model::key_hash const& key) const;
  [[nodiscard]] std::uint16_t lane_of(model::relation const& table, position at, pgoutput::tuple row) const;
  void add_by_lane(model::table_rows rows, std::vector<model::key_hash> const& hashes);
  // Whether the batch is at the limits, or at that part of them.
  [[nodiscard]] bool reaches(std::size_t part) const {
    return current_.rows >= (limits_.max_rows + part - 1) / part ||
           current_.bytes >= (limits_.max_bytes + part - 1) / part;
  }

  destination::encoding wants_;
  bool orders_tables_;
  bool row_origins_;
  std::uint16_t lanes_;
  bool splits_transactions_;
  batch_limits limits_;
  model::batch current_;
  // Counts up where every open segment ends: at a new batch, a truncation, a chunk, a new schema version.
  std::uint64_t generation_ = 1;
  bool at_boundary_ = true;
  bool owes_end_ = false;  // the last batch ended inside a transaction
};

}  // namespace etl::pipeline
