#include "replication/transaction.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <stdexcept>
#include <vector>

using etl::lsn;
using etl::position;
using etl::severity;
using etl::replication::chunk_ordinal;
using etl::replication::transaction_cursor;

TEST_CASE("rows get the commit LSN and even ordinals in their order") {
  transaction_cursor cursor;
  CHECK_FALSE(cursor.in_transaction());
  REQUIRE(cursor.begin({.final_lsn = 0x100, .commit_time = 0, .xid = 7}).has_value());
  CHECK(cursor.in_transaction());
  CHECK(cursor.commit_lsn() == lsn{0x100});
  for (std::uint64_t ordinal : {0, 2, 4}) CHECK(cursor.next_row() == position{lsn{0x100}, ordinal});
  REQUIRE(cursor.commit({.commit_lsn = 0x100, .end_lsn = 0x130, .commit_time = 0}).has_value());
  CHECK_FALSE(cursor.in_transaction());
  // The next one begins where this one ended.
  REQUIRE(cursor.begin({.final_lsn = 0x130, .commit_time = 0, .xid = 8}).has_value());
  CHECK(cursor.next_row() == position{lsn{0x130}, 0});
}

TEST_CASE("a stream that breaks the protocol is told so") {
  struct event {
    bool begins;
    std::uint64_t commit, end;
  };
  struct {
    char const* what;
    std::vector<event> good;
    event bad;
    severity kind;
  } const cases[] = {
      {"commit without begin", {}, {false, 10, 20}, severity::bug},
      {"second commit", {{true, 10, 0}, {false, 10, 20}}, {false, 10, 20}, severity::bug},
      {"begin inside", {{true, 10, 0}}, {true, 30, 0}, severity::bug},
      {"another's commit", {{true, 10, 0}}, {false, 11, 20}, severity::bug},
      {"end before the commit", {{true, 10, 0}}, {false, 10, 10}, severity::bug},
      {"the same again", {{true, 10, 0}, {false, 10, 20}}, {true, 10, 0}, severity::retry},
      {"an older one", {{true, 10, 0}, {false, 10, 20}}, {true, 5, 0}, severity::retry},
      {"no commit LSN", {}, {true, 0, 0}, severity::retry},
  };
  for (auto const& c : cases) {
    CAPTURE(c.what);
    transaction_cursor cursor;
    auto const feed = [&](event const& e) {
      return e.begins ? cursor.begin({.final_lsn = e.commit, .commit_time = 0, .xid = 1})
                      : cursor.commit({.commit_lsn = e.commit, .end_lsn = e.end, .commit_time = 0});
    };
    for (auto const& e : c.good) REQUIRE(feed(e).has_value());
    auto const failed = feed(c.bad);
    REQUIRE(failed.has_error());
    CHECK(failed.error().kind == c.kind);
    CHECK(failed.error().where == lsn{c.bad.commit});
  }
  CHECK_THROWS_AS(transaction_cursor().next_row(), std::logic_error);
}

TEST_CASE("rows of chunks order behind the transaction before them, by attempt, then by number") {
  std::uint64_t const ordered[] = {
      std::uint64_t{1} << 62, chunk_ordinal(0, 0), chunk_ordinal(0, 1), chunk_ordinal(0, (std::uint64_t{1} << 40) - 1),
      chunk_ordinal(1, 0),    chunk_ordinal(1, 5), chunk_ordinal(2, 0), chunk_ordinal((1 << 23) - 1, 0),
  };
  for (std::size_t i = 1; i < std::size(ordered); ++i) {
    CAPTURE(i);
    CHECK(ordered[i - 1] < ordered[i]);
    CHECK(position{lsn{5}, ordered[i]} < position{lsn{6}, 0});
  }
}
