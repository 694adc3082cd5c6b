#pragma once

#include <cstddef>
#include <deque>
#include <map>

#include "base/lsn.hpp"

namespace etl::replication {

// What may be told to PostgreSQL as written and as flushed: PostgreSQL manual, "Standby status update". The server
// frees its WAL up to what is flushed, so nothing may be named that would be needed again after a crash.
//
// Knows no clock and keeps bounded memory: with very many transactions under way their ends get coarser, which delays
// what is confirmed and never hastens it.
class feedback {
 public:
  // The stream has brought everything up to `end`: the end of a transaction, or of a keepalive between two. (A
  // keepalive inside a transaction may lie past the transaction's commit record: it must not come here.)
  void received(lsn end);
  // Rows up to `last` were handed over for delivery, and with them all of the WAL before `end` that needs any: called
  // at each commit that emitted rows, before received(), and for each chunk of a copy. Both values never decrease.
  void emitted(position last, lsn end);
  // Everything at or below is durable at the destination.
  void durable(position at);

  // From here on nothing is confirmed that is not received() now: something that this transaction caused (a row to be
  // read by its key) would be forgotten in a crash, and only the transaction itself can bring it back. Returns the
  // argument for release().
  [[nodiscard]] lsn hold();
  // The cause is gone as soon as `at` is durable. One call for each hold().
  void release(lsn held, position at);

  [[nodiscard]] lsn written() const { return received_; }
  // End of the last transaction that is durable with all before it; when nothing is under way, what was received. Never
  // decreases.
  [[nodiscard]] lsn flushable() const { return flushable_; }

  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }
  static constexpr std::size_t most_under_way = 4096;

 private:
  struct stretch {
    position last;
    lsn end;
  };
  struct releasing {
    position last;
    lsn held;
  };

  void advance();

  std::deque<stretch> under_way_;
  std::deque<releasing> releasing_;
  std::map<lsn, std::size_t> held_;  // how many hold this place
  lsn received_{};
  lsn delivered_{};  // end of the last stretch that was durable
  lsn flushable_{};
  position durable_{};
};

}  // namespace etl::replication
