#include "runtime/backoff.hpp"

#include <catch2/catch.hpp>
#include <vector>

using etl::runtime::backoff;
using std::chrono::milliseconds;

TEST_CASE("pauses double up to the most, half of each is random") {
  struct {
    double random;
    std::vector<int> expected;
  } const cases[] = {
      {0.0, {50, 100, 200, 400, 500, 500}},
      {0.5, {75, 150, 300, 600, 750, 750}},
      {1.0 - 1e-9, {99, 199, 399, 799, 999, 999}},
  };
  for (auto const& c : cases) {
    CAPTURE(c.random);
    backoff pauses(milliseconds(100), milliseconds(1000), [&] { return c.random; });
    for (int const expected : c.expected) CHECK(pauses.next() == milliseconds(expected));
    pauses.reset();
    CHECK(pauses.next() == milliseconds(c.expected.front()));
  }
}
