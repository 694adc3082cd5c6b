#include "replication/feedback.hpp"

#include <algorithm>

namespace etl::replication {

void feedback::received(lsn end) {
  received_ = std::max(received_, end);
  advance();
}

void feedback::emitted(position last, lsn end) {
  under_way_.push_back({last, end});
  if (under_way_.size() <= most_under_way) return;
  // Of each two neighbours the later one speaks for both.
  std::size_t kept = 0;
  for (std::size_t i = 1; i < under_way_.size(); i += 2) under_way_[kept++] = under_way_[i];
  if (under_way_.size() % 2 != 0) under_way_[kept++] = under_way_.back();
  under_way_.resize(kept);
}

void feedback::durable(position at) {
  durable_ = std::max(durable_, at);
  while (!under_way_.empty() && under_way_.front().last <= durable_) {
    delivered_ = std::max(delivered_, under_way_.front().end);
    under_way_.pop_front();
  }
  while (!releasing_.empty() && releasing_.front().last <= durable_) {
    auto const held = held_.find(releasing_.front().held);
    releasing_.pop_front();
    if (--held->second == 0) held_.erase(held);
  }
  advance();
}

lsn feedback::hold() {
  ++held_[received_];
  return received_;
}

void feedback::release(lsn held, position at) {
  releasing_.push_back({at, held});
  durable({});
}

void feedback::advance() {
  auto reach = under_way_.empty() ? received_ : delivered_;
  if (!held_.empty()) reach = std::min(reach, held_.begin()->first);
  flushable_ = std::max(flushable_, reach);
}

}  // namespace etl::replication
