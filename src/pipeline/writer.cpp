#include "pipeline/writer.hpp"

#include "base/log.hpp"
#include "runtime/pause.hpp"

namespace etl::pipeline {

bool writer::can_take() const {
  auto const& builder = core_.builder;
  return !builder.empty() && (builder.at_boundary() || builder.full() || core_.drain_wanted);
}

bool writer::can_flush() const { return core_.unflushed && !core_.drain_wanted && !core_.builder.owes_end(); }

bool writer::overdue() const { return can_flush() && clock::now() >= unflushed_since_ + max_fill_; }

asio::awaitable<result<void>> writer::run() {
  for (;;) {
    if (overdue()) {
      if (auto flushed = co_await flush(); !flushed) co_return flushed;
    } else if (core_.sequences && !core_.drain_wanted && !core_.builder.owes_end()) {
      if (auto set = co_await set_sequences(); !set) co_return set;
    } else if (can_take()) {
      if (auto written = co_await write(); !written) co_return written;
    } else if (core_.drain_wanted && core_.builder.empty()) {
      core_.reader_wake.notify();
      co_await core_.writer_wake.wait();
    } else if (can_flush() && (core_.flush_wanted || core_.closing)) {
      if (auto flushed = co_await flush(); !flushed) co_return flushed;
    } else if (can_flush()) {
      auto const left = unflushed_since_ + max_fill_ - clock::now();
      co_await core_.writer_wake.wait_for(std::chrono::ceil<std::chrono::milliseconds>(left));
    } else if (core_.closing) {
      core_.written_out = true;
      core_.status_wake.notify();
      core_.settled.notify();
      co_return result<void>();
    } else {
      if (!core_.unflushed) core_.flush_wanted = false;
      co_await core_.writer_wake.wait();
    }
  }
}

// What the destination refuses costs no row: it is told, and tried again next time.
asio::awaitable<result<void>> writer::set_sequences() {
  auto sequences = std::move(*core_.sequences);
  core_.sequences.reset();
  core_.writing = true;
  auto set = co_await core_.destination.set_sequences(std::move(sequences));
  core_.writing = false;
  if (set) co_return set;
  auto failure = fail(std::move(set));
  if (failure.kind == severity::retry) co_return failure;
  log::write(log::level::warning, "sequences were not carried over", failure, {{"pipeline", core_.config().name}});
  co_return result<void>();
}

asio::awaitable<void> writer::breaker_closed() {
  while (!core_.life.breaker.allow(clock::now())) co_await runtime::pause(std::chrono::milliseconds(100));
}

asio::awaitable<result<void>> writer::write() {
  co_await breaker_closed();
  auto batch = core_.builder.take();
  core_.reader_wake.notify();
  core_.on_room();
  core_.writing = true;
  auto const last = batch.last;
  auto documents = batch.documents;
  auto written = co_await core_.destination.write(batch);
  core_.writing = false;
  if (!written) {
    auto failure = fail(std::move(written));
    if (failure.kind == severity::retry) core_.life.breaker.failed(clock::now());
    co_return failure;
  }
  core_.life.breaker.succeeded(clock::now());
  if (!core_.unflushed) unflushed_since_ = clock::now();
  core_.unflushed = true;
  accepted_ = std::max(accepted_, last);
  if (!documents.empty()) undelivered_.push_back({last, std::move(documents)});
  co_return result<void>();
}

asio::awaitable<result<void>> writer::flush() {
  core_.writing = true;
  core_.unflushed = false;
  auto durable = co_await core_.destination.flush();
  core_.writing = false;
  if (!durable) {
    auto failure = fail(std::move(durable));
    if (failure.kind == severity::retry) core_.life.breaker.failed(clock::now());
    co_return failure;
  }
  core_.feedback.durable(*durable);
  core_.delivered = std::max(core_.delivered, *durable);
  if (*durable < accepted_) {
    core_.unflushed = true;
    unflushed_since_ = clock::now();
  }
  std::vector<model::document> saved;
  while (!undelivered_.empty() && undelivered_.front().last <= *durable) {
    for (auto& document : undelivered_.front().documents) saved.push_back(std::move(document));
    undelivered_.pop_front();
  }
  if (!saved.empty()) {
    if (auto stored = co_await core_.store.put(std::move(saved)); !stored) co_return stored;
  }
  core_.status_wake.notify();
  core_.settled.notify();
  co_return result<void>();
}

}  // namespace etl::pipeline
