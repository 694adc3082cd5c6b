#include "runtime/shards.hpp"

#include <pthread.h>

#include <atomic>
#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>
#include <future>
#include <set>
#include <string>
#include <thread>

#include "runtime/on_shard.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using etl::error;
using etl::result;
using etl::severity;
using etl::runtime::on_shard;
using etl::runtime::shards;
using etl::test::let_others_run;

namespace {

asio::awaitable<std::thread::id> where_it_runs() { co_return std::this_thread::get_id(); }

}  // namespace

TEST_CASE("each shard has a thread of its own, with a name") {
  shards all(3);
  CHECK(all.size() == 3);
  std::set<std::thread::id> threads;
  for (unsigned i = 0; i < all.size(); ++i) {
    threads.insert(asio::co_spawn(all.at(i), where_it_runs(), asio::use_future).get());
    auto const name = [](char* buffer) -> asio::awaitable<void> {
      pthread_getname_np(pthread_self(), buffer, 16);
      co_return;
    };
    char buffer[16] = {};
    asio::co_spawn(all.at(i), name(buffer), asio::use_future).get();
    CHECK(buffer == "shard-" + std::to_string(i));
  }
  CHECK(threads.size() == 3);
  all.stop_and_join();
  all.stop_and_join();
}

TEST_CASE("by default there is a shard for each core that is allowed") {
  CHECK(etl::runtime::allowed_cores() >= 1);
  CHECK(shards().size() == etl::runtime::allowed_cores());
}

TEST_CASE("on_shard runs there and resumes here") {
  shards all(2);
  auto const body = [&]() -> asio::awaitable<bool> {
    auto const here = std::this_thread::get_id();
    std::thread::id plain, nested;
    auto const first = co_await on_shard<int>(all.at(1), [&]() -> result<int> {
      plain = std::this_thread::get_id();
      return 1;
    });
    bool const back = std::this_thread::get_id() == here;
    auto const second = co_await on_shard<int>(all.at(1), [&]() -> asio::awaitable<result<int>> {
      co_await let_others_run(3);
      nested = std::this_thread::get_id();
      co_return error{severity::retry, "test.there", "from there"};
    });
    co_return back&& std::this_thread::get_id() == here&& plain != here&& nested == plain&& first.value() == 1 &&
        second.error().code == "test.there";
  };
  CHECK(asio::co_spawn(all.at(0), body(), asio::use_future).get());
}

TEST_CASE("an exception on another shard arrives at the caller") {
  shards all(2);
  auto const body = [&]() -> asio::awaitable<std::string> {
    try {
      (void)co_await on_shard<int>(all.at(1),
                                   []() -> asio::awaitable<result<int>> { throw std::runtime_error("there"); });
    } catch (std::runtime_error const& thrown) {
      co_return thrown.what();
    }
    co_return "nothing";
  };
  CHECK(asio::co_spawn(all.at(0), body(), asio::use_future).get() == "there");
}

TEST_CASE("cancelling a caller on one shard while its call runs on another: the call ends first") {
  shards all(2);
  asio::cancellation_signal stop;
  std::promise<void> inside, go_on;
  std::atomic<bool> done = false;
  auto const body = [&]() -> asio::awaitable<bool> {
    auto const outcome = co_await on_shard<bool>(all.at(1), [&]() -> result<bool> {
      inside.set_value();
      go_on.get_future().wait();
      done = true;
      return true;
    });
    // Not an await: the first one from here on throws.
    co_return outcome.value() && done;
  };
  auto ended = asio::co_spawn(all.at(0), body(), asio::bind_cancellation_slot(stop.slot(), asio::use_future));
  inside.get_future().wait();
  asio::post(all.at(0), [&] {
    stop.emit(asio::cancellation_type::terminal);
    go_on.set_value();
  });
  CHECK(ended.get());
}
