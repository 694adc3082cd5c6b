#include "destination/null/null_destination.hpp"

#include <algorithm>

namespace etl::destination {

capabilities const& null_destination::what_it_can() const {
  static constexpr capabilities can{.splits_transactions = true,
                                    .appends = true,
                                    .finds_by_value = true,
                                    .max_rows = 50'000,
                                    .max_bytes = 4 << 20,
                                    .max_fill_ms = 0};
  return can;
}

asio::awaitable<result<recovered>> null_destination::open() { co_return recovered{}; }

asio::awaitable<result<table_state>> null_destination::ensure_table(table_change) { co_return table_state{}; }

asio::awaitable<result<void>> null_destination::write(model::batch& batch) {
  totals_.rows += batch.rows;
  totals_.bytes += batch.bytes;
  accepted_ = std::max(accepted_, batch.last);
  co_return result<void>();
}

asio::awaitable<result<position>> null_destination::flush() { co_return accepted_; }

asio::awaitable<void> null_destination::close() { co_return; }

}  // namespace etl::destination
