#include "destination/python/deliveries.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace etl::destination::python_module {

position deliveries::durable_of(std::uint32_t table) const {
  auto const known = durable_.find(table);
  return known == durable_.end() ? position{} : known->second;
}

void deliveries::found(std::uint32_t table, position durable) {
  durable_[table] = std::max(durable_of(table), durable);
  furthest_ = std::max(furthest_, durable);
}

bool deliveries::cut(model::table_rows& rows) const {
  auto const durable = durable_of(rows.table->oid);
  if (rows.first > durable) return true;
  if (rows.last <= durable) return false;
  std::size_t count = 0, size = 0;
  while (rows.origins[count].at <= durable) size += rows.rows[count++].size;
  std::memmove(rows.bytes.data(), rows.bytes.data() + size, rows.bytes.size() - size);
  rows.bytes.truncate(rows.bytes.size() - size);
  rows.rows.erase(rows.rows.begin(), rows.rows.begin() + static_cast<std::ptrdiff_t>(count));
  rows.origins.erase(rows.origins.begin(), rows.origins.begin() + static_cast<std::ptrdiff_t>(count));
  rows.first = rows.origins.front().at;
  return true;
}

void deliveries::accepted(position last, std::vector<part> parts) {
  accepted_ = std::max(accepted_, last);
  pending_.push_back({accepted_, std::move(parts)});
  advance();
}

void deliveries::durable(std::uint32_t table, position up_to) {
  durable_[table] = std::max(durable_of(table), up_to);
  advance();
}

void deliveries::durable(position up_to) {
  while (!pending_.empty() && pending_.front().last <= up_to) pending_.pop_front();
  complete_ = std::max(complete_, std::min(up_to, accepted_));
}

void deliveries::advance() {
  while (!pending_.empty() && std::ranges::all_of(pending_.front().parts, [this](part const& one) {
    return one.last <= durable_of(one.table);
  })) {
    complete_ = pending_.front().last;
    pending_.pop_front();
  }
}

}  // namespace etl::destination::python_module
