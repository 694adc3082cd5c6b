#include "destination/null/null_destination.hpp"

#include "rows.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace etl::test;
using etl::destination::encoding;
using etl::destination::null_destination;

TEST_CASE("null counts, and everything is durable at once") {
  null_destination target(encoding::none);
  CHECK(target.wants() == encoding::none);
  auto const body = [&]() -> asio::awaitable<bool> {
    auto const opened = co_await target.open();
    auto const table = make_table(1, "public", "t");
    auto const ensured = co_await target.ensure_table(table);
    auto batch = make_batch();
    add(batch, make_rows(table, 1, 3));
    auto const before = co_await target.flush();
    auto const written = co_await target.write(batch);
    auto const after = co_await target.flush();
    co_await target.close();
    co_return opened&& ensured && !ensured->has_rows && written && *before == etl::position{} && *after == at(3);
  };
  CHECK(run_coro(body()));
  CHECK(target.totals().rows == 3);
  CHECK(target.totals().bytes == 24);
}
