#include "destination/file/file_destination.hpp"

namespace etl::destination {

capabilities const& file_destination::what_it_can() const {
  static constexpr capabilities can{.exactly_once = true,
                                    .keeps_documents = true,
                                    .splits_transactions = true,
                                    .appends = true,
                                    .finds_by_value = true,
                                    .max_rows = 50'000,
                                    .max_bytes = 4 << 20,
                                    .max_fill_ms = 5'000};
  return can;
}

asio::awaitable<result<recovered>> file_destination::open() {
  co_return co_await worker_.run([this]() -> result<recovered> {
    auto opened = file::segment_store::open(options_);
    if (!opened) return fail(std::move(opened));
    store_ = std::move(*opened);
    return store_->progress();
  });
}

asio::awaitable<result<table_state>> file_destination::ensure_table(table_change change) {
  auto state = co_await worker_.run([this, &change] { return store_->ensure_table(*change.table); });
  // A renamed table goes on in a directory of its own, which is to hold all of it.
  if (state && state->created && change.before) state->stale = true;
  co_return state;
}

asio::awaitable<result<void>> file_destination::write(model::batch& batch) {
  auto written = co_await worker_.run([this, &batch] { return store_->write(batch); });
  if (written) {
    totals_.rows += batch.rows;
    totals_.bytes += batch.bytes;
  }
  co_return written;
}

asio::awaitable<result<position>> file_destination::flush() {
  co_return co_await worker_.run([this] { return store_->flush(); });
}

asio::awaitable<void> file_destination::close() {
  (void)co_await worker_.run([this] {
    store_.reset();
    return result<void>();
  });
}

}  // namespace etl::destination
