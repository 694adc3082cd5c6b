#pragma once

#include <cstdint>
#include <optional>

#include "replication/emitted_transactions.hpp"
#include "replication/snapshot.hpp"

namespace etl::replication {

// Tells the stream's transactions apart for a table without a key, which is copied in one go under one snapshot: what
// the snapshot sees is in the copy, everything else has to be applied from the stream. Lives from the start of the
// table's copy until the stream has passed the WAL position that was current when the snapshot had been taken (from
// there on every transaction has to be applied).
class visibility {
 public:
  // Whether the change at hand, of this table and of transaction `xid`, has to be applied. Until a snapshot is accepted
  // none has: the snapshot will have to see them all.
  [[nodiscard]] bool applies(std::uint32_t xid);
  // Offers the snapshot for the copy. False: a transaction was left out that it does not see; take another.
  [[nodiscard]] bool copied_under(snapshot taken);

 private:
  std::optional<snapshot> taken_;
  emitted_transactions left_out_;
  std::optional<std::uint32_t> last_xid_;
  bool last_answer_ = false;
};

}  // namespace etl::replication
