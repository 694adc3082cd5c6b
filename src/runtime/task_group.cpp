#include "runtime/task_group.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cstdlib>

#include "base/log.hpp"

namespace etl::runtime {
namespace {

bool is_cancellation(std::exception_ptr const& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (boost::system::system_error const& failed) {
    return failed.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

}  // namespace

struct task_group::child {
  task_group* group;  // null: dropped before it began
  std::string_view name;
  std::optional<asio::awaitable<result<void>>> body;  // until it begins
  asio::cancellation_signal stop{};
};

task_group::~task_group() {
  for (auto const& one : children_) {
    if (!one->body) {
      log::write(log::level::error, "bug: a task outlives its group", {{"task", one->name}});
      std::abort();
    }
    one->group = nullptr;
    one->body.reset();
  }
}

void task_group::spawn(asio::awaitable<result<void>> body, std::string_view name) {
  if (cancelled_) return;
  auto const one = std::make_shared<child>(this, name, std::move(body));
  children_.push_back(one);
  asio::post(executor_, [one] { start(one); });
}

void task_group::start(std::shared_ptr<child> const& one) {
  if (one->group == nullptr) return;
  auto body = std::move(*one->body);
  one->body.reset();
  auto const then = [one](std::exception_ptr thrown, result<void> outcome) {
    one->group->ended(*one, std::move(thrown), std::move(outcome));
  };
  asio::co_spawn(one->group->executor_, std::move(body), asio::bind_cancellation_slot(one->stop.slot(), then));
}

void task_group::ended(child const& one, std::exception_ptr thrown, result<void> outcome) {
  std::erase_if(children_, [&](auto const& each) { return each.get() == &one; });
  if (thrown && !(cancelled_ && is_cancellation(thrown))) {
    if (!exception_ && !failure_) exception_ = std::move(thrown);
    cancel();
  } else if (!thrown && !outcome) {
    fail(etl::fail(std::move(outcome)));
  }
  if (children_.empty()) all_ended_.cancel();
}

void task_group::cancel() {
  cancelled_ = true;
  auto const all = children_;
  for (auto const& one : all) {
    if (one->body) {
      one->group = nullptr;
      one->body.reset();
      std::erase(children_, one);
    } else {
      one->stop.emit(asio::cancellation_type::terminal);
    }
  }
  if (children_.empty()) all_ended_.cancel();
}

void task_group::fail(error why) {
  if (!exception_ && !failure_) failure_ = std::move(why);
  cancel();
}

asio::awaitable<result<void>> task_group::join() {
  bool interrupted = false;
  if (!children_.empty()) {
    // The wait itself cannot be cancelled: a cancellation goes to the children, and they end it.
    auto slot = (co_await asio::this_coro::cancellation_state).slot();
    if (slot.is_connected()) {
      slot.assign([&](asio::cancellation_type) {
        interrupted = true;
        cancel();
      });
    }
    all_ended_.expires_at(asio::steady_timer::time_point::max());
    co_await all_ended_.async_wait(
        asio::bind_cancellation_slot(asio::cancellation_slot(), asio::as_tuple(asio::use_awaitable)));
    if (slot.is_connected()) slot.clear();
  }
  if (interrupted) throw boost::system::system_error(asio::error::operation_aborted);
  if (exception_) std::rethrow_exception(exception_);
  if (failure_) co_return std::move(*failure_);
  co_return result<void>();
}

}  // namespace etl::runtime
