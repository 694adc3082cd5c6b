#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace etl::replication {

// Which transactions a query sees: PostgreSQL manual, "Transaction ID and Snapshot Information Functions". Transaction
// numbers are 64-bit here and 32-bit in the stream; the two are compared modulo 2^32, within 2^31 of `xmax`.
//
// A committed transaction may still be unseen for a while: it is, from its commit record in the WAL (when the stream
// may carry it already) until its backend is done waiting for a synchronous standby.
struct snapshot {
  std::uint64_t xmin = 0;              // all below have ended
  std::uint64_t xmax = 0;              // none from here on had ended
  std::vector<std::uint64_t> running;  // those between that had not; ascending

  // The text of pg_current_snapshot(), "xmin:xmax:xip,xip,…". Nothing when it is not of that form.
  [[nodiscard]] static std::optional<snapshot> parse(std::string_view text);

  // Named as not yet ended. A transaction from `xmax` on is unseen without being named.
  [[nodiscard]] bool lists_running(std::uint32_t xid) const;
  // Whether the changes of a transaction that has committed, or will, are visible.
  [[nodiscard]] bool sees(std::uint32_t xid) const;
  // Sees whatever `other` sees. Of two snapshots of one server this holds for the one that was taken later.
  [[nodiscard]] bool includes(snapshot const& other) const;
};

}  // namespace etl::replication
