#pragma once

#include "destination/destination.hpp"

namespace etl::destination {

// Counts rows and forgets them: for measuring what comes before. Everything is durable at once, until the process ends.
class null_destination final : public destination {
 public:
  explicit null_destination(encoding rows) : encoding_(rows) {}

  [[nodiscard]] capabilities const& what_it_can() const override;
  [[nodiscard]] encoding wants() const override { return encoding_; }
  asio::awaitable<result<recovered>> open() override;
  asio::awaitable<result<table_state>> ensure_table(table_change change) override;
  asio::awaitable<result<void>> write(model::batch& batch) override;
  asio::awaitable<result<position>> flush() override;
  asio::awaitable<void> close() override;
  [[nodiscard]] counters totals() const override { return totals_; }

 private:
  encoding encoding_;
  position accepted_{};
  counters totals_;
};

}  // namespace etl::destination
