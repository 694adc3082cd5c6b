#include "destination/snowflake/lane.hpp"

#include <catch2/catch.hpp>

using namespace etl;
using namespace etl::destination::snowflake;
using std::chrono::seconds;

namespace {

lane::clock::time_point const now{seconds(1000)};

position at(std::uint64_t commit, std::uint64_t ordinal = 0) { return {lsn{commit}, ordinal}; }

channel_status status(position committed, std::uint64_t inserted, std::uint64_t errors = 0) {
  return {.committed = committed == position{} ? "" : committed.to_text(), .inserted = inserted, .errors = errors};
}

lane opened(position committed = {}, std::uint64_t inserted = 0) {
  auto made = lane::opened("c", status(committed, inserted));
  REQUIRE(made.has_value());
  return *std::move(made);
}

std::string code_of(result<void> const& outcome) { return outcome ? "" : std::string(outcome.error().code); }

}  // namespace

TEST_CASE("accepted is not delivered, committed and counted is") {
  auto one = opened(at(5), 70);
  CHECK(one.committed() == at(5));
  CHECK(one.idle());
  one.sent(at(10), at(12), 30);
  one.sent(at(20), at(29), 10);
  lane const* const lanes[] = {&one};
  CHECK(delivered(lanes, at(29)) == position{lsn{9}, UINT64_MAX});

  struct {
    channel_status said;
    position wanted;
  } const steps[] = {
      {status(at(5), 70), {lsn{9}, UINT64_MAX}},
      {status(at(11), 90), {lsn{9}, UINT64_MAX}},  // half of a range
      {status(at(12), 99), {lsn{9}, UINT64_MAX}},  // one row is not counted yet
      {status(at(12), 100), {lsn{19}, UINT64_MAX}},
      {status(at(12), 105), {lsn{19}, UINT64_MAX}},  // counted, but not yet said to be committed
      {status(at(29), 110), at(29)},
  };
  for (auto const& step : steps) {
    REQUIRE(one.learn(step.said, now).has_value());
    CHECK(delivered(lanes, at(29)) == step.wanted);
  }
  CHECK(one.idle());
  CHECK(one.committed() == at(29));
}

TEST_CASE("the slowest lane decides, and idle ones do not matter") {
  auto first = opened(), second = opened(at(3)), third = opened();
  lane const* const lanes[] = {&first, &second, &third};
  CHECK(delivered(lanes, at(40)) == at(40));
  first.sent(at(30), at(40), 2);
  second.sent(at(20, 6), at(35), 2);
  CHECK(delivered(lanes, at(40)) == at(20, 5));
  REQUIRE(second.learn(status(at(35), 2), now).has_value());
  CHECK(delivered(lanes, at(40)) == position{lsn{29}, UINT64_MAX});
}

TEST_CASE("refused rows that were seen to are passed") {
  auto made = lane::opened("c", status(at(5), 70, 2), 2);
  REQUIRE(made.has_value());
  auto& one = *made;
  one.sent(at(10), at(12), 3);
  one.sent(at(20), at(22), 3);
  CHECK_FALSE(one.has_passed_all(status(at(12), 73, 2)));
  auto const said = status(at(22), 75, 3);
  CHECK(one.has_passed_all(said));
  CHECK(one.newly_refused(said) == 1);
  CHECK_FALSE(one.learn(said, now).has_value());
  one.saw_to_refused(said);
  CHECK(one.newly_refused(said) == 0);
  REQUIRE(one.learn(said, now).has_value());
  CHECK(one.idle());
  CHECK_FALSE(lane::opened("c", status(at(5), 70, 3), 2).has_value());
  // A channel that was dropped counts anew.
  auto anew = lane::opened("c", status({}, 0, 0), 2);
  REQUIRE(anew.has_value());
  CHECK(anew->newly_refused(status({}, 0, 1)) == 1);
}

TEST_CASE("a refused row is never passed") {
  auto one = opened();
  one.sent(at(10), at(12), 3);
  one.sent(at(20), at(22), 3);
  auto said = status(at(22), 5, 1);
  said.last_error = "Value 'secret' is not recognized";
  said.last_error_bound = at(21).to_text();
  auto const refused = one.learn(said, now);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == "snowflake.rows_refused");
  CHECK(refused.error().kind == severity::config);
  CHECK(refused.error().to_text().find(at(10).to_text() + " to " + at(21).to_text()) != std::string::npos);
  CHECK(refused.error().to_text().find("secret") == std::string::npos);
  CHECK(one.first_missing() == at(10));
}

TEST_CASE("rows refused by an earlier run are not forgotten") {
  auto const made = lane::opened("c", status(at(22), 5, 1));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code == "snowflake.rows_refused");
}

TEST_CASE("what a channel must not say") {
  struct {
    channel_status said;
    std::string code;
  } const cases[] = {
      {status({}, 10), "snowflake.offset_lost"},
      {status(at(5), 9), "snowflake.offset_lost"},
      {status(at(31), 12), "snowflake.fenced"},
      {status(at(30), 13), "snowflake.fenced"},
      {{.committed = at(5).to_text(), .inserted = 10, .valid = false}, "snowflake.channel_invalid"},
      {{.committed = "17", .inserted = 10}, "snowflake.foreign_channel"},
      {status(at(30), 12), ""},
  };
  for (auto const& c : cases) {
    auto one = opened(at(5), 10);
    one.sent(at(29), at(30), 2);
    CHECK(code_of(one.learn(c.said, now)) == c.code);
  }
}

TEST_CASE("rows that are committed and never counted") {
  auto one = opened();
  one.sent(at(1), at(2), 2);
  CHECK(code_of(one.learn(status(at(2), 1), now)).empty());
  CHECK(code_of(one.learn(status(at(2), 1), now + seconds(29))).empty());
  CHECK_FALSE(one.idle());
  CHECK(code_of(one.learn(status(at(2), 1), now + seconds(31))) == "snowflake.rows_missing");
}
