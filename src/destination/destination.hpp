#pragma once

#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "encode/ndjson.hpp"
#include "model/batch.hpp"
#include "model/sequence.hpp"

namespace etl::destination {

namespace asio = boost::asio;

// How rows are laid out in model::table_rows::bytes.
enum class encoding : std::uint8_t {
  none,         // nothing: rows are only counted
  ndjson,       // encode/ndjson.hpp: one JSON object and a line feed a row
  copy_binary,  // encode/copy_rows.hpp: PostgreSQL's COPY BINARY tuples; values as the source's binary send functions
  copy_text,    // encode/copy_rows.hpp: the same frame around values in text form
};

struct capabilities {
  bool exactly_once = false;
  bool keeps_documents = false;      // documents are stored together with the rows
  bool orders_tables = false;        // wants rows in order across tables, too
  bool splits_transactions = false;  // a batch that ends inside a source transaction may become durable by itself
  bool appends = false;              // keeps every row version (history), not the current state
  bool positions_by_table = false;   // open() knows no position; ensure_table() says each table's
  bool fills_columns = false;        // a column that is added gets the values that the source's old rows have in it
  bool renames = false;              // renamed tables and columns keep what they hold
  bool row_origins = false;          // wants model::table_rows::origins
  bool finds_by_value = false;       // takes removals of tables without a key: the whole old row, of which one goes
  std::uint16_t lanes = 1;           // a table: the rows of each lane are in order and apart (table_rows::lane)
  std::size_t max_rows = 0;          // good defaults for [batch]
  std::size_t max_bytes = 0;
  std::int64_t max_fill_ms = 0;  // how long accepted rows may wait for being made durable; they are accepted at once
};

// What the destination says when it is opened: the truth about progress, where it can store it.
struct recovered {
  position durable{};                      // everything at or below is there; zero: nothing known
  std::vector<model::document> documents;  // as stored by the last batches
};

// A table in the schema that its next rows have, and what the destination's table was made for.
struct table_change {
  template <std::convertible_to<model::relation_ptr> Relation>
  table_change(Relation table_) : table(std::move(table_)) {}  // NOLINT: a table that nothing is known of

  model::relation_ptr table;
  // The schema that the destination's table has now, as this pipeline made it; null: not known, go by names. Columns
  // are the same where their attribute numbers are. Another OID: a table of that name was dropped at the source, and
  // this one took its name; its rows go.
  model::relation_ptr before;
  // The rows that are there are going to be copied again anyway: no value of a column that changes needs to be kept.
  bool copied_again = false;
  // To be kept with the change, where documents are kept with rows. Asked for once the change is made, with
  // table_state::stale.
  std::function<std::vector<model::document>(bool stale)> documents;
};

struct table_state {
  bool created = false;   // ensure_table made it just now
  bool has_rows = false;  // there were rows before this pipeline's first copy
  bool stale = false;     // rows that are there lack values, or have others than at the source: copy them again
  // With capabilities::positions_by_table. A lane drops the rows at or below its own position by itself, so what is
  // to arrive at all has to be behind the furthest.
  position durable{};   // what every lane of the table holds
  position furthest{};  // what some lane holds
};

struct counters {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t repaired = 0;  // rows found missing or already there, against what the stream said
};

// Where a pipeline's rows go. Lives on the pipeline's home core; one call at a time (the writer's), and every call may
// be cancelled, after which only close() is allowed. An error of severity `retry` means: close, open again later, go on
// from what open() then says. `data` errors concern the one table that the error's context names.
class destination {
 public:
  virtual ~destination() = default;
  [[nodiscard]] virtual capabilities const& what_it_can() const = 0;
  // How it wants the rows of tables with this relation's types. Constant between open() and close().
  [[nodiscard]] virtual encoding wants() const = 0;

  // What its lines should be like, where it wants ndjson; the configuration's wishes are in `options` already.
  virtual void adapt(encode::ndjson_options& options) const { (void)options; }

  virtual asio::awaitable<result<recovered>> open() = 0;
  // ensure_table() follows for each of these: a destination may look at all of them in one go.
  virtual asio::awaitable<result<void>> expect_tables(std::vector<model::relation_ptr> tables) {
    (void)tables;
    co_return result<void>();
  }
  // Creates the table or makes it fit; called before the first row of each schema version, in stream order, possibly
  // inside a source transaction (then as part of it where DDL is transactional).
  virtual asio::awaitable<result<table_state>> ensure_table(table_change change) = 0;
  // Applies a batch. On return the rows are accepted, not yet durable. May move out of `batch`.
  virtual asio::awaitable<result<void>> write(model::batch& batch) = 0;
  // Makes what was accepted durable as far as complete (whole transactions unless splits_transactions), and returns
  // the position up to which everything is. A service that is slow at that returns what is durable by now: it is asked
  // again until the last accepted row is, and sees to it that this makes no busy loop.
  virtual asio::awaitable<result<position>> flush() = 0;
  // With capabilities::positions_by_table: the stream has passed all that the destination held when its tables were
  // ensured, and everything is durable. So nothing that belongs before it is missing any more.
  virtual void passed_recovered() {}
  // Everything is durable and the run is over: brings what readers see up to it, where that lags behind. Only where
  // somebody waits for it (`run --once`).
  virtual asio::awaitable<result<void>> catch_up() { co_return result<void>(); }
  // Brings sequences to the source's values, and makes those that are missing. Never inside a transaction of the
  // source's that was written by half.
  virtual asio::awaitable<result<void>> set_sequences(std::vector<model::sequence> sequences) {
    (void)sequences;
    co_return result<void>();
  }
  // Lets go of connections and files, with a deadline of its own; never fails, never throws.
  virtual asio::awaitable<void> close() = 0;

  [[nodiscard]] virtual counters totals() const = 0;
};

}  // namespace etl::destination
