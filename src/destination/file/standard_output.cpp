#include "destination/file/standard_output.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <climits>

#include "encode/json_text.hpp"
#include "state/files.hpp"

namespace etl::destination {
namespace {

constexpr std::size_t gathered_size = 256 << 10;
constexpr int poll_ms = 100;  // between looks at whether to stop

error output_error(int number) {
  auto failure = state::file_error("destination.output", "writing to", "standard output", number);
  if (number == EPIPE) {
    failure.message = "standard output was closed by who reads it";
    failure.hint = "The next start goes on from what was written; the last rows may come again.";
  }
  return failure;
}

}  // namespace

capabilities const& standard_output::what_it_can() const {
  static constexpr capabilities can{.orders_tables = true,
                                    .splits_transactions = true,
                                    .appends = true,
                                    .finds_by_value = true,
                                    .max_rows = 50'000,
                                    .max_bytes = 4 << 20,
                                    .max_fill_ms = 0};
  return can;
}

asio::awaitable<result<recovered>> standard_output::open() {
  struct stat facts{};
  if (::fstat(descriptor_, &facts) != 0) co_return output_error(errno);
  // poll() promises room for PIPE_BUF bytes (POSIX, "poll", "write"); a write of more could block for ever.
  chunk_ = S_ISREG(facts.st_mode) ? gathered_size : PIPE_BUF;
  co_return recovered{};
}

asio::awaitable<result<table_state>> standard_output::ensure_table(table_change) { co_return table_state{}; }

asio::awaitable<result<void>> standard_output::write(model::batch& batch) {
  auto slot = (co_await asio::this_coro::cancellation_state).slot();
  if (slot.is_connected()) slot.assign([stop = stop_](asio::cancellation_type) { stop->store(true); });
  auto written = co_await worker_.run([this, &batch] { return write_batch(batch); });
  if (slot.is_connected()) slot.clear();
  if (written) {
    totals_.rows += batch.rows;
    totals_.bytes += batch.bytes;
    accepted_ = std::max(accepted_, batch.last);
  }
  co_return written;
}

asio::awaitable<result<position>> standard_output::flush() { co_return accepted_; }

asio::awaitable<void> standard_output::close() { co_return; }

std::string standard_output::table_fields(model::relation const& table) const {
  return fmt::format(R"({{"_etl_schema":{},"_etl_table":{},)", encode::quote_json(table.schema),
                     encode::quote_json(table.name));
}

result<void> standard_output::write_batch(model::batch const& batch) {
  for (auto const& step : batch.steps) {
    if (auto const* const rows = std::get_if<model::table_rows>(&step)) {
      if (auto written = write_rows(*rows); !written) return written;
      continue;
    }
    auto const& event = std::get<model::truncation>(step);
    for (auto const& table : event.tables) {
      lines_.append(fmt::format("{}{}:\"{}\",{}:\"truncate\",{}:null}}\n", table_fields(*table),
                                encode::quote_json(columns_.position), event.at.to_text(),
                                encode::quote_json(columns_.operation), encode::quote_json(columns_.commit_time)));
    }
  }
  return write_out();
}

result<void> standard_output::write_rows(model::table_rows const& rows) {
  auto const prefix = table_fields(*rows.table);
  auto rest = rows.bytes.view();
  for (auto const& row : rows.rows) {
    lines_.append(prefix);
    lines_.append(rest.substr(1, row.size - 1));  // without its brace: a row always has fields
    rest.remove_prefix(row.size);
    if (lines_.size() < gathered_size) continue;
    if (auto written = write_out(); !written) return written;
  }
  return result<void>();
}

result<void> standard_output::write_out() {
  auto rest = lines_.view();
  while (!rest.empty()) {
    pollfd ready{descriptor_, POLLOUT, 0};
    int const count = ::poll(&ready, 1, poll_ms);
    if (stop_->load()) return error{severity::retry, "destination.output", "writing to standard output was cancelled"};
    if (count == 0 || (count < 0 && errno == EINTR)) continue;
    auto const written = ::write(descriptor_, rest.data(), std::min(rest.size(), chunk_));
    if (written < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return output_error(errno);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  lines_.clear();
  return result<void>();
}

}  // namespace etl::destination
