#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "pg/connection.hpp"

namespace etl::monitor {

namespace asio = boost::asio;

// A replication slot (PostgreSQL manual, pg_replication_slots and pg_stat_replication_slots). Sizes in bytes of WAL.
struct slot_state {
  std::string name;
  std::string type;      // logical or physical
  std::string plugin;    // empty for a physical one
  std::string database;  // likewise
  bool temporary = false;
  bool active = false;
  int active_pid = 0;
  std::string application;     // of the program that uses it, where this role may see that
  std::string inactive_since;  // as the server writes it; PostgreSQL 17 and later
  std::optional<lsn> restart;
  std::optional<lsn> confirmed;
  std::int64_t retained = 0;            // from restart_lsn to the end of WAL: what the disk holds for it
  std::optional<std::int64_t> lag;      // from confirmed_flush_lsn to the end of WAL
  std::optional<double> lag_seconds;    // as the walsender measures it; of an inactive one since when it is so (17)
  std::string wal_status;               // reserved, extended, unreserved, lost; empty where it holds no WAL
  std::optional<std::int64_t> safe;     // WAL that may still be written before the slot is lost
  std::string invalidation;             // why it was lost; empty: it was not
  std::optional<std::int64_t> spilled;  // bytes of large transactions that decoding wrote to disk
  std::optional<std::int64_t> spilled_transactions;
  // Between two looks, when there were two.
  std::optional<double> growth;                   // of what it retains, bytes a second
  std::optional<std::chrono::seconds> time_left;  // until it is lost, at that rate
};

struct server_state {
  int version = 0;                   // 150004 for 15.4
  lsn end{};                         // of WAL
  std::optional<std::int64_t> keep;  // max_slot_wal_keep_size; none: the disk is the only limit
  std::vector<slot_state> slots;     // by name
};

// Every slot of the server. Any role may call it; who uses a slot is told to members of pg_read_all_stats only. Errors
// as pg::connection's; may be cancelled.
asio::awaitable<result<server_state>> read_slots(pg::connection& source);

// Fills in growth and time_left, from a look at the same server `between` before.
void compare(server_state const& before, server_state& now, std::chrono::duration<double> between);

enum class level : std::uint8_t { ok, warning, danger };

struct thresholds {
  std::int64_t warning;
  std::int64_t danger;
};

// By what it retains; a slot that is lost, or will be at the next checkpoint (unreserved), is in danger.
[[nodiscard]] level level_of(slot_state const& slot, thresholds const& limits);

}  // namespace etl::monitor
