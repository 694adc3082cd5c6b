#include "destination/snowflake/snowflake_destination.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>
#include <deque>
#include <set>

#include "encode/ndjson.hpp"
#include "support/run_coro.hpp"
#include "tables.hpp"

using namespace etl;
using namespace etl::destination;
using namespace etl::destination::snowflake;

namespace {

position at(std::uint64_t commit, std::uint64_t ordinal = 0) { return {lsn{commit}, ordinal}; }

auto const orders = test::make_table({{"id", 20}, {"note", 25}}, {0});

// A service in memory, which outlives the destinations that use it.
struct service {
  struct channel {
    std::string accepted_to, committed_to;
    std::uint64_t accepted = 0, committed = 0, refused = 0;
  };
  std::map<std::string, channel> channels;
  std::vector<std::string> rows;
  std::vector<std::string> statements;
  std::deque<std::string> failures;  // codes of the next appends
  std::set<std::string> made;        // DESCRIBE knows what CREATE made
  bool commits = true;
};

class in_memory final : public transport {
 public:
  explicit in_memory(service& there) : there_(there) {}

  asio::awaitable<result<channel_status>> open(std::string, std::string channel) override {
    auto& c = there_.channels[channel];
    c.accepted = c.committed;
    co_return said(c);
  }
  asio::awaitable<result<void>> append(std::string const& channel, std::string_view rows, std::size_t count, position,
                                       position last) override {
    if (!there_.failures.empty()) {
      auto const code = there_.failures.front();
      there_.failures.pop_front();
      if (code == "fenced") co_return error{severity::retry, "snowflake.fenced", "another has opened the channel"};
    }
    auto& c = there_.channels.at(channel);
    there_.rows.emplace_back(rows);
    c.accepted += count;
    c.accepted_to = last.to_text();
    co_return result<void>();
  }
  asio::awaitable<result<std::vector<channel_status>>> status(std::vector<std::string> const& channels) override {
    std::vector<channel_status> all;
    for (auto const& name : channels) {
      auto& c = there_.channels.at(name);
      if (there_.commits) {
        c.committed = c.accepted;
        c.committed_to = c.accepted_to;
      }
      all.push_back(said(c));
    }
    co_return all;
  }
  asio::awaitable<void> close() override { co_return; }

 private:
  static channel_status said(service::channel const& c) {
    return {.committed = c.committed_to, .inserted = c.committed - c.refused, .errors = c.refused};
  }
  service& there_;
};

asio::awaitable<result<sql_rows>> answer(service& there, std::string statement) {
  there.statements.push_back(statement);
  auto const name = [](std::string const& text, std::string const& after) {
    auto const from = text.find(after) + after.size();
    return text.substr(from, text.find(' ', from) - from);
  };
  if (statement.starts_with("CREATE TABLE")) there.made.insert(name(statement, "EXISTS "));
  if (statement.starts_with("DESCRIBE") && !there.made.contains(name(statement, "TABLE "))) {
    error missing{severity::config, "snowflake.sql", "no such table"};
    missing.sqlstate = "42S02";
    co_return missing;
  }
  if (statement.starts_with("SELECT COUNT(*), ")) co_return sql_rows{{"1", std::nullopt, "0", "0"}};
  if (statement.starts_with("SELECT COUNT(*)")) co_return sql_rows{{"0"}};
  co_return sql_rows{};
}

std::unique_ptr<snowflake_destination> make(service& there, std::shared_ptr<void>* memory = nullptr,
                                            config::apply_mode apply = config::apply_mode::merge) {
  snowflake_options options;
  options.all = test::make_layout(apply);
  options.memory = memory;
  options.connect = [&there]() -> asio::awaitable<result<snowflake_services>> {
    co_return snowflake_services{std::make_unique<in_memory>(there),
                                 [&there](std::string sql) { return answer(there, std::move(sql)); }};
  };
  return std::make_unique<snowflake_destination>(std::move(options));
}

// Lines of the real encoder: inserts of (id, "x") at the given positions.
model::step rows_of(snowflake_destination const& to, std::vector<position> const& positions, std::uint16_t lane = 0) {
  encode::ndjson_options options;
  to.adapt(options);
  encode::ndjson_encoder encoder(orders, options);
  model::table_rows rows{.table = orders, .lane = lane, .first = positions.front(), .last = positions.back()};
  for (auto const where : positions) {
    auto const before = rows.bytes.size();
    std::vector<pgoutput::value> const values{{pgoutput::value_kind::text, "7"}, {pgoutput::value_kind::text, "x"}};
    REQUIRE(encoder.encode(rows.bytes, model::operation::insert, where, 0, {}, values).has_value());
    rows.rows.push_back({static_cast<std::uint32_t>(rows.bytes.size() - before), model::operation::insert, false});
  }
  return rows;
}

model::batch batch_of(std::vector<model::step> steps, position last) {
  model::batch made;
  made.steps = std::move(steps);
  made.last = last;
  return made;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (auto from = text.find(what); from != text.npos; from = text.find(what, from + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("rows go to their lanes, and only what is committed there is durable") {
  service there;
  test::run_coro([](service& there) -> asio::awaitable<void> {
    auto to = make(there);
    auto opened = co_await to->open();
    CHECK(opened.has_value());
    auto ensured = co_await to->ensure_table(orders);
    CHECK(ensured.has_value());
    CHECK(ensured->created);
    CHECK(ensured->furthest == position{});
    there.commits = false;
    std::vector<model::step> steps;
    steps.push_back(rows_of(*to, {at(10), at(10, 4)}));
    steps.push_back(rows_of(*to, {at(10, 2)}, 1));
    auto batch = batch_of(std::move(steps), at(10, 4));
    auto written = co_await to->write(batch);
    CHECK(written.has_value());
    auto durable = co_await to->flush();
    CHECK(durable.value() == position{lsn{9}, UINT64_MAX});
    there.commits = true;
    durable = co_await to->flush();
    CHECK(durable.value() == at(10, 4));
    co_await to->close();
  }(there));
  CHECK(there.channels.at("shop.public.orders.0of2").committed == 2);
  CHECK(there.channels.at("shop.public.orders.1of2").committed == 1);
}

TEST_CASE("what a lane holds already is not sent again, and rows behind it are") {
  service there;
  auto& lane = there.channels["shop.public.orders.0of2"];
  lane.committed_to = lane.accepted_to = at(20, 2).to_text();
  lane.committed = lane.accepted = 5;
  test::run_coro([](service& there) -> asio::awaitable<void> {
    auto to = make(there);
    (void)co_await to->open();
    auto ensured = co_await to->ensure_table(orders);
    CHECK(ensured->durable == position{});
    CHECK(ensured->furthest == at(20, 2));
    std::vector<model::step> steps;
    steps.push_back(rows_of(*to, {at(10), at(20, 2)}));
    auto batch = batch_of(std::move(steps), at(20, 2));
    (void)co_await to->write(batch);
    CHECK(there.rows.empty());
    steps.clear();
    steps.push_back(rows_of(*to, {at(20), at(20, 2), at(20, 4), at(30)}));
    batch = batch_of(std::move(steps), at(30));
    (void)co_await to->write(batch);
    co_await to->close();
  }(there));
  REQUIRE(there.rows.size() == 1);
  CHECK(count(there.rows[0], "\n") == 2);
  CHECK(there.rows[0].starts_with("{\"_etl_position\":\"" + at(20, 4).to_text()));
}

TEST_CASE("what is too large for a request is cut between rows") {
  service there;
  test::run_coro([](service& there) -> asio::awaitable<void> {
    auto to = make(there);
    (void)co_await to->open();
    (void)co_await to->ensure_table(orders);
    std::vector<position> positions;
    for (std::uint64_t i = 1; i <= 50'000; ++i) positions.push_back(at(10, i));
    std::vector<model::step> steps;
    steps.push_back(rows_of(*to, positions));
    auto batch = batch_of(std::move(steps), positions.back());
    (void)co_await to->write(batch);
    auto const durable = co_await to->flush();
    CHECK(durable.value() == positions.back());
    co_await to->close();
  }(there));
  REQUIRE(there.rows.size() == 2);
  std::size_t lines = 0;
  for (auto const& rows : there.rows) {
    CHECK(rows.size() <= 4 << 20);
    CHECK(rows.ends_with("}\n"));
    lines += count(rows, "\n");
  }
  CHECK(lines == 50'000);
  CHECK(there.rows[1].starts_with("{\"_etl_position\":\""));
}

TEST_CASE("a refused row holds up everything behind it, also after a restart") {
  service there;
  for (int run = 0; run < 2; ++run) {
    test::run_coro([](service& there, int run) -> asio::awaitable<void> {
      auto to = make(there);
      (void)co_await to->open();
      auto ensured = co_await to->ensure_table(orders);
      CHECK(ensured.has_value() == (run == 0));
      if (run == 1) {
        CHECK(ensured.error().code == "snowflake.rows_refused");
      } else {
        std::vector<model::step> steps;
        steps.push_back(rows_of(*to, {at(10)}));
        auto batch = batch_of(std::move(steps), at(10));
        (void)co_await to->write(batch);
        there.channels.at("shop.public.orders.0of2").refused = 1;
        auto const durable = co_await to->flush();
        CHECK_FALSE(durable.has_value());
        CHECK(durable.error().code == "snowflake.rows_refused");
        CHECK(durable.error().kind == severity::config);
      }
      co_await to->close();
    }(there, run));
  }
}

TEST_CASE("a TRUNCATE is a row of the first lane, between those before and after, in one request with them") {
  service there;
  test::run_coro([](service& there) -> asio::awaitable<void> {
    auto to = make(there);
    (void)co_await to->open();
    (void)co_await to->ensure_table(orders);
    std::vector<model::step> steps;
    steps.push_back(rows_of(*to, {at(10)}));
    steps.push_back(model::truncation{.tables = {orders}, .at = at(11)});
    steps.push_back(rows_of(*to, {at(12)}));
    auto batch = batch_of(std::move(steps), at(12));
    (void)co_await to->write(batch);
    co_await to->close();
  }(there));
  REQUIRE(there.rows.size() == 1);
  auto const found = there.rows[0].find("{\"_etl_position\":\"" + at(11).to_text() +
                                        "\",\"_etl_operation\":\"truncate\",\"_etl_commit_time\":null}\n");
  REQUIRE(found != std::string::npos);
  CHECK(there.rows[0].find(at(10).to_text()) < found);
  CHECK(there.rows[0].find(at(12).to_text()) > found);
}

TEST_CASE("taken over once is tried again, twice is another process") {
  service there;
  std::shared_ptr<void> memory;
  for (auto const wanted : {severity::retry, severity::config}) {
    there.failures = {"fenced"};
    test::run_coro([](service& there, std::shared_ptr<void>& memory, severity wanted) -> asio::awaitable<void> {
      auto to = make(there, &memory);
      (void)co_await to->open();
      (void)co_await to->ensure_table(orders);
      std::vector<model::step> steps;
      steps.push_back(rows_of(*to, {at(10)}));
      auto batch = batch_of(std::move(steps), at(10));
      auto const written = co_await to->write(batch);
      CHECK_FALSE(written.has_value());
      CHECK(written.error().kind == wanted);
      co_await to->close();
    }(there, memory, wanted));
  }
}

TEST_CASE("catching up applies what has landed, once") {
  service there;
  test::run_coro([](service& there) -> asio::awaitable<void> {
    auto to = make(there);
    (void)co_await to->open();
    (void)co_await to->ensure_table(orders);
    auto const caught_up = co_await to->catch_up();
    CHECK(caught_up.has_value());
    co_await to->close();
  }(there));
  CHECK(std::count_if(there.statements.begin(), there.statements.end(),
                      [](auto const& s) { return s.find("MERGE INTO") != s.npos; }) == 1);
}
