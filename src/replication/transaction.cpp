#include "replication/transaction.hpp"

#include <stdexcept>

namespace etl::replication {
namespace {

error protocol_error(char const* message, std::uint64_t where) {
  return {severity::bug, "stream.protocol", message, "Please report this with the server's version.", {}, lsn{where}};
}

}  // namespace

result<void> transaction_cursor::begin(pgoutput::begin const& message) {
  if (inside_) return protocol_error("the stream began a transaction inside another", message.final_lsn);
  if (message.final_lsn <= at_.commit.value) {
    return error{severity::retry,
                 "stream.order",
                 "the stream went back to a transaction that it had brought already",
                 "The stream is opened anew at the position that was confirmed.",
                 {},
                 lsn{message.final_lsn}};
  }
  at_ = {lsn{message.final_lsn}, 0};
  inside_ = true;
  return {};
}

result<void> transaction_cursor::commit(pgoutput::commit const& message) {
  if (!inside_) return protocol_error("the stream ended a transaction that it had not begun", message.commit_lsn);
  if (message.commit_lsn != at_.commit.value || message.end_lsn <= message.commit_lsn) {
    return protocol_error("the stream ended a transaction at another place than it had announced", message.commit_lsn);
  }
  inside_ = false;
  return {};
}

position transaction_cursor::next_row() {
  if (!inside_) throw std::logic_error("a row arrived outside a transaction");
  position const here = at_;
  at_.ordinal += 2;
  return here;
}

}  // namespace etl::replication
