#include "destination/snowflake/applier.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>

#include "base/log.hpp"
#include "destination/snowflake/lane.hpp"

namespace etl::destination::snowflake {
namespace {

namespace asio = boost::asio;

error unreadable() {
  return {severity::bug, "snowflake.answer", "Snowflake's answer to a statement of ours cannot be read"};
}

}  // namespace

applier::applier(asio::any_io_executor executor, sql_runner sql, std::chrono::milliseconds every)
    : executor_(executor), sql_(std::move(sql)), every_(every), ended_(executor) {}

void applier::adopt(std::uint32_t id, apply_sql sql) {
  auto& known = tables_[id];
  auto const before = known ? *known : table{.sql = sql};
  known = std::make_shared<table>(table{.sql = std::move(sql), .newest = before.newest, .applied = before.applied});
}

void applier::rows_arrived(std::uint32_t id, position last) {
  if (auto const at = tables_.find(id); at != tables_.end()) at->second->newest = std::max(at->second->newest, last);
}

void applier::delivered(position upto) { delivered_ = std::max(delivered_, upto); }

void applier::start() {
  running_ = true;
  asio::co_spawn(executor_, run(),
                 asio::bind_cancellation_slot(stop_.slot(), [self = shared_from_this()](std::exception_ptr thrown) {
                   self->running_ = false;
                   self->ended_.notify();
                   // Cancelled by stop(): the only exception that there is.
                   (void)thrown;
                 }));
}

asio::awaitable<void> applier::stop() {
  while (running_) {
    abandon();
    co_await ended_.wait_for(std::chrono::milliseconds(100));
  }
}

std::optional<error> applier::take_failure() { return std::exchange(failure_, std::nullopt); }

asio::awaitable<void> applier::run() {
  asio::steady_timer timer(executor_);
  for (auto due = clock::now() + every_;; due = std::max(due + every_, clock::now())) {
    timer.expires_at(due);
    co_await timer.async_wait(asio::use_awaitable);
    if (auto applied = co_await apply_all(); !applied) {
      failure_ = fail(std::move(applied));
      co_return;
    }
  }
}

asio::awaitable<result<void>> applier::apply_all() {
  auto const upto = delivered_;
  std::vector<std::uint32_t> waiting;
  for (auto const& [id, one] : tables_) {
    if (one->applied < upto && (!one->looked_at || one->applied < one->newest)) waiting.push_back(id);
  }
  for (auto const id : waiting) {
    if (auto applied = co_await apply(id, upto); !applied) co_return applied;
  }
  co_return result<void>();
}

asio::awaitable<result<survey>> applier::look(apply_sql const& sql, position upto) {
  auto rows = co_await sql_(sql.survey_up_to(upto));
  if (!rows) co_return fail(std::move(rows));
  auto const found = rows->size() == 1 ? apply_sql::parse_survey(rows->front()) : std::nullopt;
  if (!found) co_return unreadable();
  co_return *found;
}

asio::awaitable<result<void>> applier::apply(std::uint32_t id, position upto) {
  auto const one = tables_.at(id);  // keeps the statements while another version is adopted
  auto const failed = [&](auto&& outcome) {
    auto failure = fail(std::move(outcome));
    if (failure.kind == severity::data) failure.table = id;
    return failure;
  };
  for (;;) {
    auto found = co_await look(one->sql, upto);
    if (!found) co_return failed(std::move(found));
    if (found->rows == 0) break;
    auto until = upto;
    if (found->rekeys) {
      auto rows = co_await sql_(one->sql.first_obstacle(upto, *found));
      if (!rows) co_return failed(std::move(rows));
      if (rows->size() != 1 || rows->front().size() != 1) co_return unreadable();
      if (auto const& obstacle = rows->front().front()) {
        auto const at = position::parse(*obstacle);
        if (!at) co_return unreadable();
        until = just_before(*at);
        found = co_await look(one->sql, until);
        if (!found) co_return failed(std::move(found));
      }
    }
    auto done = co_await sql_(one->sql.apply_up_to(until, *found));
    if (!done) co_return failed(std::move(done));
    log::debug("applied", {{"rows", static_cast<std::int64_t>(found->rows)}, {"up_to", until.to_text()}});
    if (until == upto) break;
  }
  one->applied = upto;
  one->looked_at = true;
  co_return result<void>();
}

}  // namespace etl::destination::snowflake
