#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.hpp"
#include "destination/destination.hpp"
#include "runtime/blocking_worker.hpp"

namespace etl::destination {

// Rows on standard output as they come, in the order of the source, for the next program in a pipe. Each line names its
// table in "_etl_schema" and "_etl_table"; a TRUNCATE is a line with the operation "truncate" for each table. What was
// written counts as durable. No position is kept here: after a crash some rows come again, with the positions that they
// had.
//
// A reader that does not read holds up the write, and nothing else; cancelling ends it. Errors: `destination.output`
// (config), also when the reader has closed the pipe.
class standard_output final : public destination {
 public:
  // Of the columns that the rows carry.
  struct names {
    std::string position;
    std::string operation;
    std::string commit_time;
  };

  // `descriptor` is written to, and neither owned nor changed. SIGPIPE must be ignored by the process.
  explicit standard_output(names columns, int descriptor = 1) : columns_(std::move(columns)), descriptor_(descriptor) {}

  [[nodiscard]] capabilities const& what_it_can() const override;
  [[nodiscard]] encoding wants() const override { return encoding::ndjson; }
  asio::awaitable<result<recovered>> open() override;
  asio::awaitable<result<table_state>> ensure_table(table_change change) override;
  asio::awaitable<result<void>> write(model::batch& batch) override;
  asio::awaitable<result<position>> flush() override;
  asio::awaitable<void> close() override;
  [[nodiscard]] counters totals() const override { return totals_; }

 private:
  // On the worker.
  result<void> write_batch(model::batch const& batch);
  result<void> write_rows(model::table_rows const& rows);
  result<void> write_out();
  [[nodiscard]] std::string table_fields(model::relation const& table) const;

  names columns_;
  int descriptor_;
  buffer lines_;
  std::size_t chunk_ = 0;  // bytes that may be written at once
  std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
  position accepted_{};
  counters totals_;
  runtime::blocking_worker worker_{"output"};
};

}  // namespace etl::destination
