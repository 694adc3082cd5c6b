#include "replication/visibility.hpp"

#include <utility>

namespace etl::replication {

bool visibility::applies(std::uint32_t xid) {
  if (last_xid_ == xid) return last_answer_;
  last_xid_ = xid;
  last_answer_ = taken_ && !taken_->sees(xid);
  if (!taken_) left_out_.add(xid);
  return last_answer_;
}

bool visibility::copied_under(snapshot taken) {
  if (left_out_.any_unseen(taken)) return false;
  taken_ = std::move(taken);
  left_out_.clear();
  return true;
}

}  // namespace etl::replication
