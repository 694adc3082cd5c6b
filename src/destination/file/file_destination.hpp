#pragma once

#include <memory>

#include "destination/destination.hpp"
#include "destination/file/segment_store.hpp"
#include "runtime/blocking_worker.hpp"

namespace etl::destination {

// NDJSON files with a manifest (README.md), exactly once: every call runs on a thread of its own, so a slow disk holds
// up nobody else. A cancelled call ends first. Errors: those of file::segment_store.
class file_destination final : public destination {
 public:
  explicit file_destination(file::store_options options) : options_(std::move(options)) {}

  [[nodiscard]] capabilities const& what_it_can() const override;
  [[nodiscard]] encoding wants() const override { return encoding::ndjson; }
  asio::awaitable<result<recovered>> open() override;
  asio::awaitable<result<table_state>> ensure_table(table_change change) override;
  asio::awaitable<result<void>> write(model::batch& batch) override;
  asio::awaitable<result<position>> flush() override;
  asio::awaitable<void> close() override;
  [[nodiscard]] counters totals() const override { return totals_; }

 private:
  file::store_options options_;
  std::unique_ptr<file::segment_store> store_;  // used on the worker only
  counters totals_;
  runtime::blocking_worker worker_{"files"};
};

}  // namespace etl::destination
