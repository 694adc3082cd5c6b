#include "destination/python/deliveries.hpp"

#include "../destination/rows.hpp"

using etl::position;
using etl::destination::python_module::deliveries;
using etl::test::at;
using etl::test::make_table;

namespace {

etl::model::table_rows with_origins(etl::model::relation_ptr table, std::uint64_t first, std::uint64_t last) {
  auto rows = etl::test::make_rows(std::move(table), first, last);
  for (auto n = first; n <= last; ++n) rows.origins.push_back({at(n), 0});
  return rows;
}

}  // namespace

TEST_CASE("rows that a table has are cut off") {
  auto const table = make_table(7, "public", "t");
  struct {
    std::uint64_t durable, first, last;
    std::uint64_t left_from;  // 0: none are left
  } const cases[] = {{0, 1, 3, 1}, {5, 6, 9, 6}, {5, 1, 5, 0}, {5, 1, 6, 6}, {5, 5, 30, 6}};
  for (auto const& c : cases) {
    CAPTURE(c.durable, c.first, c.last);
    deliveries book;
    book.found(7, at(c.durable));
    book.found(8, at(1000));
    auto rows = with_origins(table, c.first, c.last);
    REQUIRE(book.cut(rows) == (c.left_from != 0));
    if (c.left_from == 0) continue;
    auto const expected = etl::test::make_rows(table, c.left_from, c.last);
    CHECK(rows.bytes.view() == expected.bytes.view());
    CHECK(rows.rows.size() == expected.rows.size());
    CHECK(rows.origins.size() == expected.rows.size());
    CHECK(rows.first == expected.first);
  }
}

TEST_CASE("a position counts when every table is durable up to it") {
  deliveries book;
  book.found(1, {});
  book.found(2, at(3));
  CHECK(book.furthest() == at(3));
  book.accepted(at(5), {{1, at(4)}, {2, at(5)}});
  book.accepted(at(9), {{2, at(8)}});
  book.accepted(at(10), {});
  CHECK(book.complete() == position{});
  book.durable(2, at(8));
  CHECK(book.complete() == position{});  // table 1 holds up the first batch
  book.durable(1, at(3));
  CHECK(book.complete() == position{});
  book.durable(1, at(4));
  CHECK(book.complete() == at(10));
  book.durable(1, at(2));
  CHECK(book.complete() == at(10));
  CHECK_FALSE(book.wanted(1, at(4)));
  CHECK(book.wanted(1, at(5)));
  book.accepted(at(12), {{3, at(11)}});
  CHECK(book.complete() == at(10));
  book.all_durable();
  CHECK(book.complete() == at(12));
}

TEST_CASE("one position for everything is believed up to what was taken") {
  deliveries book;
  book.accepted(at(3), {});  // what was recovered
  CHECK(book.complete() == at(3));
  book.accepted(at(5), {{1, at(5)}});
  book.accepted(at(7), {{1, at(7)}});
  book.durable(at(6));
  CHECK(book.complete() == at(6));
  book.durable(at(4));
  CHECK(book.complete() == at(6));
  book.durable(at(100));
  CHECK(book.complete() == at(7));
}
