#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "model/key_hash.hpp"
#include "pg/connection.hpp"
#include "pipeline/batch_builder.hpp"
#include "pipeline/catalog.hpp"
#include "pipeline/row_encoder.hpp"
#include "replication/snapshot.hpp"

namespace etl::pipeline {

// The values of one row's key, kept beyond the message they came in.
struct kept_key {
  std::vector<pgoutput::value_kind> kinds;
  std::vector<std::string> values;

  friend bool operator==(kept_key const&, kept_key const&) = default;
};

// A piece of a table to read. Blocks [first, end) of one heap, or the rows of some keys.
struct chunk_request {
  model::relation_ptr table;
  catalog::storage part;
  std::string row_filter;
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  bool to_the_end = false;     // no upper bound: the heap may have grown since it was measured
  std::vector<kept_key> keys;  // not empty: these rows instead of blocks
  std::size_t most_bytes = 0;  // above it the range is given back to be split
};

struct chunk_answer {
  chunk_rows rows;
  lsn high{};                  // everything the snapshot saw was committed below
  std::uint32_t filenode = 0;  // of the heap that was read
  bool too_big = false;        // nothing else is set
};

enum class snapshot_verdict : std::uint8_t { use_it, take_another, wait_for_older };

// Reads chunks over one connection of its own. Lives on one core (any but need not be the home core), where every
// function runs; interrupt() is posted there.
class chunk_reader {
 public:
  using judge = std::function<asio::awaitable<result<snapshot_verdict>>(replication::snapshot)>;
  using taker = std::function<asio::awaitable<result<bool>>(chunk_answer)>;

  chunk_reader(pg::connect_options options, destination::encoding wants, encode::ndjson_options ndjson)
      : options_(std::move(options)), wants_(wants), ndjson_(std::move(ndjson)) {}

  // `accept` decides about the snapshot (step 2 of the copy's rules). Connects where there is no connection yet; after
  // an error the next call connects anew.
  asio::awaitable<result<chunk_answer>> read(chunk_request request, judge accept);
  // A table without a key: all its heaps under one snapshot, in pieces; `take` gets each and says whether to go on.
  // Returns a WAL position above every commit that the snapshot saw.
  asio::awaitable<result<lsn>> read_whole(model::relation_ptr table, std::vector<catalog::storage> parts,
                                          std::string row_filter, std::uint32_t blocks_a_piece, judge accept,
                                          taker take);
  // Breaks off what is going on: its call returns an error soon. Every later call, too.
  void interrupt();
  void close() { connection_.reset(); }

 private:
  asio::awaitable<result<void>> connect();
  // A transaction with an accepted snapshot, in which the table and these heaps stay as `table` says they are.
  asio::awaitable<result<void>> begin(model::relation const& table, std::span<catalog::storage const> parts,
                                      judge const& accept);
  asio::awaitable<result<lsn>> read_parts(model::relation_ptr table, std::vector<catalog::storage> const& parts,
                                          std::string const& row_filter, std::uint32_t blocks_a_piece,
                                          taker const& take);
  asio::awaitable<result<void>> copy_rows(std::string sql, chunk_answer& into, std::size_t most_bytes);
  asio::awaitable<result<void>> fetch_keys(chunk_request const& request, chunk_answer& into);
  result<void> take_row(model::relation const& table, std::vector<pgoutput::value> const& values, chunk_answer& into);
  asio::awaitable<result<void>> finish(std::uint32_t heap, chunk_answer& into);
  [[nodiscard]] bool binary() const { return wants_ == destination::encoding::copy_binary; }

  pg::connect_options options_;
  destination::encoding wants_;
  encode::ndjson_options ndjson_;
  std::unique_ptr<pg::connection> connection_;
  model::relation_ptr encoder_table_;
  std::unique_ptr<row_encoder> encoder_;
  bool interrupted_ = false;
};

}  // namespace etl::pipeline
