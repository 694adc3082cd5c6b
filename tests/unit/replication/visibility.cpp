#include "replication/visibility.hpp"

#include <catch2/catch.hpp>

using etl::replication::snapshot;
using etl::replication::visibility;

TEST_CASE("a keyless table's changes are applied unless its copy has seen them") {
  visibility table;
  CHECK_FALSE(table.applies(10));
  CHECK_FALSE(table.applies(11));
  REQUIRE(table.copied_under({12, 15, {12}}));
  struct {
    unsigned xid;
    bool applies;
  } const cases[] = {{12, true}, {12, true}, {13, false}, {14, false}, {12, true}, {15, true}, {20, true}};
  for (auto const& c : cases) {
    CAPTURE(c.xid);
    CHECK(table.applies(c.xid) == c.applies);
  }
}

TEST_CASE("a snapshot that does not see what was left out is refused") {
  visibility table;
  CHECK_FALSE(table.applies(10));
  CHECK_FALSE(table.copied_under({10, 15, {10}}));  // between its commit record and its visibility
  CHECK_FALSE(table.applies(10));
  CHECK_FALSE(table.copied_under({10, 10, {}}));  // the same, above all that have ended
  CHECK(table.copied_under({11, 15, {12}}));
  CHECK_FALSE(table.applies(10));
  CHECK(table.applies(12));
}

TEST_CASE("the transaction at hand keeps its answer when the snapshot comes in its middle") {
  visibility table;
  CHECK_FALSE(table.applies(10));
  REQUIRE(table.copied_under({11, 11, {}}));
  CHECK_FALSE(table.applies(10));
  CHECK(table.applies(11));
}
