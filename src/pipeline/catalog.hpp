#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "model/relation.hpp"
#include "model/sequence.hpp"
#include "pg/connection.hpp"

// What the source's catalog says. Every function runs SQL on a metadata connection of the home core, changes nothing
// unless its name says so, and may be cancelled as pg::connection's operations may.
namespace etl::pipeline {
namespace asio = boost::asio;
}

namespace etl::pipeline::catalog {

struct server_facts {
  int version = 0;  // 150004 for 15.4
  std::string database;
  std::string wal_level;
  std::uint32_t block_size = 8192;                       // of WAL pages
  std::uint64_t segment_size = 16 << 20;                 // of WAL files
  std::uint32_t page_size = 8192;                        // of tables
  std::chrono::milliseconds wal_sender_timeout{60'000};  // zero: none
  bool commits_may_wait = false;                         // synchronous standbys are configured
  bool in_recovery = false;
  lsn insert{};  // where WAL is being written (the replayed end on a standby)
};
asio::awaitable<result<server_facts>> describe_server(pg::connection& source);

// A heap that holds rows of a table: the table itself, or one leaf of a partitioned one.
struct storage {
  std::uint32_t oid = 0;
  std::string quoted_name;
  std::uint32_t filenode = 0;
  std::uint32_t blocks = 0;
  std::uint64_t bytes = 0;  // with TOAST
  std::int64_t rows = 0;    // the planner's estimate; -1: never analysed
};

struct table {
  model::relation_ptr relation;
  std::vector<storage> parts;
  // What the publications carry of it, taken together.
  struct events {
    bool inserts = false;
    bool updates = false;
    bool deletes = false;
    bool truncates = false;
  } published;
  // Of rows as they are inserted, for the copy: SQL, as the publications have it; empty: none.
  std::string row_filter;
  // Every UPDATE of a row that the copy reads is in the stream. Otherwise rows may move on their pages unnoticed.
  bool moves_published = true;
  lsn seen{};  // every change of the table that was committed below is in here
};

// A table as one finds it before it is in any publication.
struct candidate {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  bool has_identity = false;  // its updates and deletes can be published
  [[nodiscard]] std::string quoted_name() const {
    return model::quote_identifier(schema) + '.' + model::quote_identifier(name);
  }
};
// Permanent ordinary and partitioned tables of user schemas; partitions only by their root.
asio::awaitable<result<std::vector<candidate>>> list_tables(pg::connection& source);

// Those that are unlogged or temporary, partitions included.
asio::awaitable<result<std::vector<candidate>>> list_unlogged(pg::connection& source);

struct publication {
  std::string name;
  bool all_tables = false;
  bool updates = true;
  bool deletes = true;
};
asio::awaitable<result<std::vector<publication>>> find_publications(pg::connection& source,
                                                                    std::vector<std::string> names);
// The tables that these publications carry, with columns, keys and filters as they apply to the stream.
asio::awaitable<result<std::vector<table>>> published_tables(pg::connection& source,
                                                             std::vector<std::string> publications);
// The same for one table; nothing when it is gone or no longer published.
asio::awaitable<result<std::optional<table>>> published_table(pg::connection& source,
                                                              std::vector<std::string> publications, std::uint32_t oid);
// Until who alters the table at this moment has done so, but not for ever: what the stream has brought of a transaction
// may not be visible yet.
asio::awaitable<result<void>> wait_for_changes(pg::connection& source, std::uint32_t oid);
// A text that is another as soon as one of the published tables was changed, or which they are.
asio::awaitable<result<std::string>> published_stamp(pg::connection& source, std::vector<std::string> publications);
// The heaps of these tables as they are now, by table; nothing for a partitioned table without partitions.
asio::awaitable<result<std::map<std::uint32_t, std::vector<storage>>>> find_storage(pg::connection& source,
                                                                                    std::vector<std::uint32_t> tables);
// Creates a publication of these tables. Writes to the source.
asio::awaitable<result<void>> create_publication(pg::connection& source, std::string const& name,
                                                 std::span<candidate const> tables, bool only_inserts);
asio::awaitable<result<void>> add_to_publication(pg::connection& source, std::string const& name,
                                                 std::span<candidate const> tables);

// Fills in what a Relation message cannot say of its types (names, kinds, base types), from their OIDs and modifiers.
asio::awaitable<result<void>> describe_types(pg::connection& source, std::vector<model::column>& columns);

// The sequences that belong to these tables or that their defaults use, and those that belong to none and are in the
// schema of one, with their values. `hidden` gets the names of those that the role may not read.
asio::awaitable<result<std::vector<model::sequence>>> read_sequences(pg::connection& source,
                                                                     std::vector<std::uint32_t> tables,
                                                                     std::vector<std::string>& hidden);

struct slot {
  std::string plugin;
  std::string database;
  bool active = false;
  int active_pid = 0;
  std::string wal_status;
  std::string invalidation_reason;  // 17 and later
  bool temporary = false;
  std::optional<lsn> confirmed_flush;
};
asio::awaitable<result<std::optional<slot>>> find_slot(pg::connection& source, std::string const& name);

// Transactions that a new slot has to wait for, for people: "pid 123 (psql, idle in transaction for 00:10:03)".
asio::awaitable<result<std::vector<std::string>>> transactions_in_the_way(pg::connection& source);

asio::awaitable<result<lsn>> current_wal_position(pg::connection& source);
// The same, with the text of a snapshot that was taken before.
struct present_end {
  lsn end{};
  std::string snapshot;
};
asio::awaitable<result<present_end>> look_at_present(pg::connection& source);

}  // namespace etl::pipeline::catalog
