#include "destination/file/standard_output.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <string>
#include <thread>

#include "rows.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace etl::test;
using etl::result;
using etl::destination::standard_output;

namespace {

// A pipe whose reading end is read to its end by a thread, when asked to.
struct pipe_ends {
  int read = -1;
  int write = -1;
  pipe_ends() {
    int both[2];
    REQUIRE(::pipe(both) == 0);
    read = both[0];
    write = both[1];
  }
  pipe_ends(pipe_ends const&) = delete;
  pipe_ends& operator=(pipe_ends const&) = delete;
  ~pipe_ends() {
    close_read();
    close_write();
  }
  void close_read() {
    if (read >= 0) ::close(std::exchange(read, -1));
  }
  void close_write() {
    if (write >= 0) ::close(std::exchange(write, -1));
  }
  [[nodiscard]] std::string read_all() const {
    std::string all;
    char block[4096];
    for (ssize_t got = 0; (got = ::read(read, block, sizeof block)) > 0;)
      all.append(block, static_cast<std::size_t>(got));
    return all;
  }
};

standard_output::names const names{"_etl_position", "_etl_operation", "_etl_commit_time"};

int bytes_in(int pipe) {
  int count = 0;
  REQUIRE(::ioctl(pipe, FIONREAD, &count) == 0);
  return count;
}

asio::awaitable<result<void>> open_and_write(standard_output& target, etl::model::batch& batch) {
  if (auto opened = co_await target.open(); !opened) co_return etl::fail(std::move(opened));
  co_return co_await target.write(batch);
}

}  // namespace

TEST_CASE("lines name their table; a truncation is a line") {
  pipe_ends pipe;
  auto batch = make_batch({{"a", "1"}});
  auto const odd = make_table(2, "public", "odd \"name\"");
  add(batch, make_rows(make_table(1, "public", "t"), 1, 2));
  add_truncation(batch, {odd}, 3);
  add(batch, make_rows(odd, 4, 4));
  {
    standard_output target(names, pipe.write);
    auto const body = [&]() -> asio::awaitable<void> {
      auto const written = co_await open_and_write(target, batch);
      CHECK(written);
      auto const durable = co_await target.flush();
      CHECK(durable.value() == at(4));
      co_await target.close();
    };
    run_coro(body());
    CHECK(target.totals().rows == 3);
  }
  pipe.close_write();
  CHECK(pipe.read_all() ==
        R"({"_etl_schema":"public","_etl_table":"t","n":1})"
        "\n"
        R"({"_etl_schema":"public","_etl_table":"t","n":2})"
        "\n"
        R"({"_etl_schema":"public","_etl_table":"odd \"name\"","_etl_position":"00000000000000030000000000000003",)"
        R"("_etl_operation":"truncate","_etl_commit_time":null})"
        "\n"
        R"({"_etl_schema":"public","_etl_table":"odd \"name\"","n":4})"
        "\n");
}

TEST_CASE("more than a pipe holds arrives whole") {
  pipe_ends pipe;
  auto batch = make_batch();
  add(batch, make_rows(make_table(1, "public", "t"), 1, 50'000));
  std::string got;
  std::thread reader([&] { got = pipe.read_all(); });
  {
    standard_output target(names, pipe.write);
    CHECK(run_coro(open_and_write(target, batch)));
  }
  pipe.close_write();
  reader.join();
  CHECK(std::count(got.begin(), got.end(), '\n') == 50'000);
  CHECK(got.ends_with("\"n\":50000}\n"));
}

TEST_CASE("a reader that has gone is an error, not a signal") {
  std::signal(SIGPIPE, SIG_IGN);
  pipe_ends pipe;
  pipe.close_read();
  auto batch = make_batch();
  add(batch, make_rows(make_table(1, "public", "t"), 1, 1));
  standard_output target(names, pipe.write);
  auto const written = run_coro(open_and_write(target, batch));
  REQUIRE(!written);
  CHECK(written.error().code == "destination.output");
  CHECK(written.error().kind == etl::severity::config);
  CHECK(written.error().message == "standard output was closed by who reads it");
}

TEST_CASE("a write that nobody reads can be cancelled") {
  pipe_ends pipe;
  auto batch = make_batch();
  add(batch, make_rows(make_table(1, "public", "t"), 1, 50'000));
  standard_output target(names, pipe.write);
  auto const body = [&]() -> asio::awaitable<bool> {
    auto const executor = co_await asio::this_coro::executor;
    auto const opened = co_await target.open();
    asio::cancellation_signal stop;
    asio::steady_timer ended(executor, asio::steady_timer::time_point::max());
    bool failed = false;
    asio::co_spawn(executor, target.write(batch),
                   asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr thrown, result<void> outcome) {
                     failed = thrown || !outcome;
                     ended.cancel();
                   }));
    // Until the pipe is full, so that the write is where it cannot go on.
    for (int flags = ::fcntl(pipe.write, F_GETPIPE_SZ), filled = 0; filled < flags - 4096;
         filled = bytes_in(pipe.read)) {
      co_await let_others_run(1);
    }
    stop.emit(asio::cancellation_type::terminal);
    co_await ended.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return opened&& failed;
  };
  CHECK(run_coro(body()));
}
