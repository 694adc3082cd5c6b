#pragma once

#include <pgoutput/message.hpp>

#include <cstdint>

#include "base/error.hpp"
#include "base/lsn.hpp"

namespace etl::replication {

// Follows the stream's transactions and gives each of their rows its position. A reader has one for each
// START_REPLICATION.
class transaction_cursor {
 public:
  // Errors: a Begin inside a transaction (bug); a commit LSN that is not above the one before (retry: the server went
  // back, and a new connection begins where it was confirmed). The WAL that two consecutive transactions cover may
  // touch and overlap; their commit records, which give the LSN here, never coincide.
  [[nodiscard]] result<void> begin(pgoutput::begin const& message);
  // Errors (bug): a Commit without Begin, or of another transaction than the Begin announced.
  [[nodiscard]] result<void> commit(pgoutput::commit const& message);

  // The position of the Insert, Update, Delete or Truncate at hand: called once for each of them, whether or not
  // it is going to be emitted, so that a message has the same position every time it is sent. Ordinals are even: the
  // odd one behind belongs to the second half of a change of key, which is emitted as two rows. Throws std::logic_error
  // outside a transaction.
  [[nodiscard]] position next_row();

  // What next_row() will return.
  [[nodiscard]] position upcoming() const { return at_; }
  [[nodiscard]] bool in_transaction() const { return inside_; }
  // Commit LSN of the transaction at hand, or of the last one; zero before the first.
  [[nodiscard]] lsn commit_lsn() const { return at_.commit; }

 private:
  position at_{};  // of the next row
  bool inside_ = false;
};

// Ordinal of a row of a copy chunk, for a position that has the commit LSN of the transaction before it. It orders
// after all rows of that transaction (top bit), after what an earlier attempt emitted at the same place (`epoch`: 23
// bits, counts the attempts), and among its own by `sequence` (40 bits).
[[nodiscard]] constexpr std::uint64_t chunk_ordinal(std::uint32_t epoch, std::uint64_t sequence) {
  return std::uint64_t{1} << 63 | (std::uint64_t{epoch} & 0x7FFFFF) << 40 | (sequence & 0xFF'FFFF'FFFF);
}

}  // namespace etl::replication
