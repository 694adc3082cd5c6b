#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "base/log.hpp"
#include "destination/postgres/postgres_destination.hpp"
#include "unit/destination_postgres/row_text.hpp"
#include "unit/destination_postgres/server.hpp"

using namespace etl;
using namespace etl::test;
using destination::encoding;
using destination::postgres_destination;
using lines = std::vector<std::string>;

namespace {

// A database of its own, and a pipeline that writes to it.
class world {
 public:
  explicit world(encoding transfer = encoding::copy_text) : transfer_(transfer) {
    static int count = 0;
    if (count == 0) log::set_up(log::level::off, log::format::text);  // repairs are what some of these tests are about
    database_ = fmt::format("d{}", ++count);
    sql_session(server::instance().url())(fmt::format("CREATE DATABASE {}", database_));
    sql.emplace(server::instance().url(database_));
    open();
  }
  ~world() {
    run(context, target->close());
    sql.reset();
    sql_session(server::instance().url())(fmt::format("DROP DATABASE {} WITH (FORCE)", database_));
  }

  [[nodiscard]] std::unique_ptr<postgres_destination> another(std::chrono::milliseconds lock_wait) const {
    destination::postgres_options options;
    options.server.url = server::instance().url(database_);
    options.pipeline = "o'hara";
    options.transfer = transfer_;
    options.lock_wait = lock_wait;
    return std::make_unique<postgres_destination>(std::move(options));
  }
  destination::recovered open() {
    target = another(std::chrono::seconds(30));
    return run(context, target->open()).value();
  }

  destination::table_state ensure(model::relation_ptr table) {
    return run(context, target->ensure_table(std::move(table))).value();
  }

  // Whole transactions up to the next position.
  result<void> try_write(std::vector<segment> const& segments, bool ends = true,
                         std::vector<model::document> documents = {}) {
    model::batch batch;
    for (auto const& one : segments) batch.steps.emplace_back(one.rows());
    batch.documents = std::move(documents);
    return write(std::move(batch), ends);
  }
  result<void> write(model::batch batch, bool ends = true) {
    last = {{last.commit.value + 1}, 7};
    batch.last = last;
    batch.ends_transaction = ends;
    return run(context, target->write(batch));
  }
  void apply(std::vector<segment> const& segments, bool ends = true) {
    auto written = try_write(segments, ends);
    if (!written) FAIL(written.error().to_text() << " " << written.error().server_text);
  }
  position flush() { return run(context, target->flush()).value(); }
  std::uint64_t repaired() { return target->totals().repaired; }

  // Integers as this pipeline transfers them.
  [[nodiscard]] cell int8(std::int64_t number) const {
    return transfer_ == encoding::copy_binary ? binary(number) : cell(std::to_string(number));
  }

  asio::io_context context;
  std::optional<sql_session> sql;
  std::unique_ptr<postgres_destination> target;
  position last{};

 private:
  encoding transfer_;
  std::string database_;
};

model::relation_ptr items(std::uint32_t version = 1) {
  return relation("items", {column("id", 20, "bigint"), column("name", 25, "text"), column("note", 25, "text")}, {0}, 1,
                  version);
}

constexpr auto all_items = "SELECT * FROM shop.items ORDER BY id";

}  // namespace

TEST_CASE("rows arrive, few and many, in text and binary") {
  auto const transfer = GENERATE(encoding::copy_text, encoding::copy_binary);
  world w(transfer);
  auto const table = items();
  CHECK(w.ensure(table).created);
  w.apply({segment(table).insert({w.int8(1), "a\tb\\", null}).insert({w.int8(2), "", "\xc3\xa4"})});
  CHECK((*w.sql)(all_items) == lines{"1,a\tb\\,NULL", "2,,\xc3\xa4"});

  segment many(table);
  for (int i = 3; i <= 5000; ++i) many.insert({w.int8(i), "x\ny", null});
  w.apply({many});
  CHECK(w.sql->value("SELECT count(*), sum(id), count(DISTINCT name) FROM shop.items") == "5000,12502500,3");

  segment rest(table);
  for (int i = 1; i <= 2000; ++i) rest.remove({w.int8(i)});
  for (int i = 2001; i <= 4000; ++i) rest.update({w.int8(i), "new", unchanged});
  for (int i = 4001; i <= 5000; ++i) rest.update({w.int8(i), "whole", "w"});
  for (int i = 5001; i <= 5200; ++i) rest.insert({w.int8(i), "late", null});
  w.apply({rest});
  CHECK((*w.sql)("SELECT name, note, count(*) FROM shop.items GROUP BY 1, 2 ORDER BY 1") ==
        lines{"late,NULL,200", "new,NULL,2000", "whole,w,1000"});
  CHECK(w.repaired() == 0);
  CHECK(w.target->totals().rows == 2 + 4998 + 5200);
}

TEST_CASE("any history ends in the source's state") {
  auto const transfer = GENERATE(encoding::copy_text, encoding::copy_binary);
  // Keys of several columns, not in the table's order; a unique column whose values wander between rows.
  auto const table = relation("pairs",
                              {column("v", 25, "text"), column("b", 25, "text"), column("toast", 25, "text"),
                               column("a", 20, "bigint"), column("u", 20, "bigint")},
                              {3, 1});
  for (unsigned seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    world w(transfer);
    w.ensure(table);
    (*w.sql)("CREATE UNIQUE INDEX ON shop.pairs (u)");
    using key = std::pair<std::int64_t, std::string>;
    struct row {
      std::string v;
      std::string toast;
      std::int64_t u;
    };
    std::map<key, row> model;
    std::mt19937 random(seed);
    auto const pick = [&](std::size_t below) { return static_cast<std::int64_t>(random() % below); };
    std::int64_t next_u = 0;
    std::size_t const keys = seed % 3 == 0 ? 2000 : 40;
    auto const cells = [&](key const& k, row const& r, bool partial) {
      return std::vector<cell>{r.v, k.second, partial ? unchanged : cell(r.toast), w.int8(k.first), w.int8(r.u)};
    };
    auto const key_cells = [&](key const& k) { return std::vector<cell>{w.int8(k.first), k.second}; };
    auto const any_key = [&] { return key{pick(keys), std::string(1, static_cast<char>('a' + pick(2)))}; };
    for (int batch = 0; batch < 15; ++batch) {
      segment rows(table);
      auto const changes = pick(seed % 2 == 0 ? 600 : 60) + 1;
      for (std::int64_t i = 0; i < changes; ++i) {
        auto const k = any_key();
        auto const found = model.find(k);
        auto const text = std::to_string(random());
        if (found == model.end()) {
          model[k] = {text, "t" + text, next_u++};
          rows.insert(cells(k, model[k], false));
          continue;
        }
        switch (pick(6)) {
          case 0:
            rows.remove(key_cells(k));
            model.erase(found);
            break;
          case 1:
            found->second = {text, "t" + text, found->second.u};
            rows.update(cells(k, found->second, false));
            break;
          case 2:
          case 3:
            found->second.v = text;
            rows.update(cells(k, found->second, true));
            break;
          case 4: {  // the unique values of two rows change places, through one that parks
            auto const other = model.find(any_key());
            if (other == model.end() || other == found) break;
            auto const mine = found->second.u;
            found->second.u = -1;
            rows.update(cells(k, found->second, i % 2 == 0));
            found->second.u = std::exchange(other->second.u, mine);
            rows.update(cells(other->first, other->second, i % 3 == 0));
            rows.update(cells(k, found->second, true));
            break;
          }
          case 5: {
            auto const to = any_key();
            if (model.contains(to)) break;
            auto moved = found->second;
            moved.v = text;
            model.erase(found);
            model[to] = moved;
            rows.rekey(key_cells(k), cells(to, moved, true));
            break;
          }
          default:
            break;
        }
      }
      w.apply({rows}, batch == 14 || pick(3) != 0);
    }
    lines expected;
    for (auto const& [k, r] : model)
      expected.push_back(fmt::format("{},{},{},{},{}", k.first, k.second, r.v, r.toast, r.u));
    CHECK((*w.sql)("SELECT a, b, v, toast, u FROM shop.pairs ORDER BY a, b COLLATE \"C\"") == expected);
    CHECK(w.repaired() == 0);
  }
}

TEST_CASE("values of another unique index change places in one batch") {
  auto const table = items();
  auto const count = GENERATE(2, 1000);
  world w;
  w.ensure(table);
  (*w.sql)("CREATE UNIQUE INDEX ON shop.items (name)");
  segment first(table), swaps(table);
  for (int i = 0; i < count; ++i) first.insert({w.int8(i), std::to_string(i), "kept"});
  for (int i = 0; i < count; ++i) {
    // Half of them know their note, half do not.
    swaps.update({w.int8(i), std::to_string(i ^ 1), i % 2 == 0 ? unchanged : cell("kept")});
  }
  w.apply({first});
  w.apply({swaps});
  CHECK(w.sql->value("SELECT count(*) FROM shop.items WHERE name::int = (id::int # 1) AND note = 'kept'") ==
        std::to_string(count));
  CHECK(w.repaired() == 0);
}

TEST_CASE("a key changes while other values stay unknown") {
  auto const table = items();
  world w;
  w.ensure(table);
  w.apply({segment(table).insert({"1", "a", "one"}).insert({"2", "b", "two"})});
  // Keys 1 and 2 change places through 9.
  w.apply({segment(table)
               .rekey({"1"}, {"9", "a", unchanged})
               .rekey({"2"}, {"1", unchanged, unchanged})
               .rekey({"9"}, {"2", "A", unchanged})
               .update({"2", "AA", unchanged})});
  CHECK((*w.sql)(all_items) == lines{"1,b,two", "2,AA,one"});
  CHECK(w.repaired() == 0);

  // Somebody else took the new key.
  (*w.sql)("INSERT INTO shop.items VALUES (3, 'foreign', 'foreign')");
  w.apply({segment(table).rekey({"2"}, {"3", "c", unchanged})});
  CHECK((*w.sql)(all_items) == lines{"1,b,two", "3,c,one"});
}

TEST_CASE("an equal key in another spelling is one row") {
  auto const table = relation("prices", {column("price", 1700, "numeric"), column("name", 25, "text")}, {0});
  auto const count = GENERATE(1, 500);
  world w;
  w.ensure(table);
  segment first(table), second(table);
  for (int i = 1; i <= count; ++i) first.insert({fmt::format("{}.0", i), "a"});
  for (int i = 1; i <= count; ++i) second.remove({fmt::format("{}.0", i)}).insert({fmt::format("{}.00", i), "b"});
  w.apply({first});
  w.apply({second});
  CHECK((*w.sql)("SELECT name, scale(price), count(*) FROM shop.prices GROUP BY 1, 2") ==
        lines{fmt::format("b,2,{}", count)});
  w.apply({segment(table).rekey({"1.00"}, {"1.000", unchanged})});
  // Likewise on the careful way, which a conflict leads to.
  (*w.sql)("INSERT INTO shop.prices VALUES (-1, 'foreign')");
  w.apply({segment(table)
               .rekey({"1.000"}, {"-1", unchanged})
               .rekey({"-1"}, {"1.0", unchanged})
               .rekey({"1.0"}, {"1.000", unchanged})});
  CHECK(w.sql->value("SELECT price, name FROM shop.prices WHERE price = 1") == "1.000,b");
  CHECK(w.repaired() == 0);
}

TEST_CASE("truncations happen in their place") {
  auto const table = items();
  auto const other = relation("others", {column("id", 20, "bigint")}, {0}, 2);
  bool const referenced = GENERATE(false, true);
  world w;
  w.ensure(table);
  w.ensure(other);
  if (referenced) (*w.sql)("CREATE TABLE shop.mine (item bigint REFERENCES shop.items)");
  w.apply({segment(table).insert({"1", "a", null}), segment(other).insert({"1"})});
  model::batch batch;
  batch.steps.emplace_back(segment(table).insert({"2", "b", null}).rows());
  batch.steps.emplace_back(model::truncation{{table}, true, true, {}});
  batch.steps.emplace_back(segment(table).insert({"1", "c", null}).rows());
  REQUIRE(w.write(std::move(batch)).has_value());
  CHECK((*w.sql)(all_items) == lines{"1,c,NULL"});
  CHECK((*w.sql)("SELECT * FROM shop.others") == lines{"1"});
  CHECK(w.repaired() == 0);
}

TEST_CASE("what somebody else changed is repaired and counted") {
  auto const table = items();
  auto const count = GENERATE(3, 600);
  auto const text = std::to_string(count);
  world w;
  w.ensure(table);
  segment first(table), again(table), changed(table), removed(table), partial(table);
  for (int i = 0; i < count; ++i) {
    first.insert({w.int8(i), "a", "x"});
    changed.update({w.int8(i), "b", "y"});
    partial.update({w.int8(i), "c", unchanged});
    removed.remove({w.int8(i)});
  }
  auto const is_all = [&](char const* row) {
    return w.sql->value(fmt::format("SELECT count(*) FROM shop.items WHERE items = {}", row)) == text;
  };
  (*w.sql)("INSERT INTO shop.items VALUES (0, 'foreign', 'foreign')");
  w.apply({first});
  CHECK(is_all("(id, 'a'::text, 'x'::text)"));
  CHECK(w.repaired() == 1);

  (*w.sql)("DELETE FROM shop.items WHERE id < 2");
  w.apply({changed});
  CHECK(is_all("(id, 'b'::text, 'y'::text)"));
  CHECK(w.repaired() == 3);

  (*w.sql)("DELETE FROM shop.items WHERE id = 0");
  w.apply({partial});  // nothing knows the missing row's note: it stays missing, and is counted
  CHECK(w.sql->value("SELECT count(*), min(id) FROM shop.items WHERE name = 'c' AND note = 'y'") ==
        fmt::format("{},1", count - 1));
  CHECK(w.repaired() == 4);

  w.apply({removed});
  CHECK(w.sql->value("SELECT count(*) FROM shop.items") == "0");
  CHECK(w.repaired() == 5);
}

TEST_CASE("a conflict behind many segments of one batch is met once") {
  auto const table = items();
  world w;
  w.ensure(table);
  (*w.sql)("INSERT INTO shop.items VALUES (7999, 'foreign', 'foreign')");
  std::vector<segment> segments;
  for (int i = 0; i < 8000; ++i) {
    if (i % 200 == 0) segments.emplace_back(table);
    segments.back().insert({w.int8(i), "a", "x"});
  }
  w.apply(segments);
  CHECK((*w.sql)("SELECT name, count(*) FROM shop.items GROUP BY 1") == lines{"a,8000"});
  CHECK(w.repaired() == 1);
}

TEST_CASE("rows of a copy may be there already") {
  auto const table = items();
  auto const count = GENERATE(3, 600);
  world w;
  w.ensure(table);
  segment chunk(table), streamed(table);
  for (int i = 0; i < count; ++i) {
    chunk.copy({w.int8(i), "copied", "x"});
    streamed.update({w.int8(i + 1), "streamed", "y"});
  }
  // While the copy goes on the stream is ahead of it.
  w.apply({streamed.copying()});
  CHECK(w.sql->value("SELECT count(*) FROM shop.items WHERE name = 'streamed'") == std::to_string(count));
  for (int twice = 0; twice < 2; ++twice) {
    w.apply({chunk});
    CHECK(w.sql->value("SELECT count(*) FROM shop.items WHERE name = 'copied'") == std::to_string(count));
  }
  CHECK(w.repaired() == 0);
}

TEST_CASE("progress and documents survive with the rows") {
  auto const table = items();
  world w;
  CHECK(w.open().durable == position{});
  w.ensure(table);
  REQUIRE(w.try_write({segment(table).insert({"1", "a", null})}, true, {{"table/1", "{\"done\":1}"}, {"table/2", "x"}})
              .has_value());
  CHECK(w.flush() == w.last);
  REQUIRE(w.try_write({}, true, {{"table/2", ""}, {"table/3", "it's"}}).has_value());
  run(w.context, w.target->close());
  auto const found = w.open();
  CHECK(found.durable == w.last);
  std::map<std::string, std::string> documents;
  for (auto const& one : found.documents) documents[one.key] = one.value;
  CHECK(documents == std::map<std::string, std::string>{{"table/1", "{\"done\":1}"}, {"table/3", "it's"}});
  // Documents alone, from before the first row, do not turn the position back.
  auto const reached = w.last;
  w.last = {};
  REQUIRE(w.try_write({}, true, {{"table/4", "y"}}).has_value());
  run(w.context, w.target->close());
  CHECK(w.open().durable == reached);
  // The table is known again without being asked for.
  w.apply({segment(table).insert({"2", "b", null})});
  CHECK((*w.sql)(all_items) == lines{"1,a,NULL", "2,b,NULL"});
}

TEST_CASE("flush waits for the disk, whatever the server's default is") {
  auto const table = items();
  auto const by_default = GENERATE("on", "off", "local");
  world w;
  (*w.sql)(fmt::format(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = {}', current_database()); END $$",
      by_default));
  run(w.context, w.target->close());
  w.open();
  w.ensure(table);
  w.apply({segment(table).insert({"1", "a", null})});
  auto const written = w.sql->value("SELECT pg_current_wal_insert_lsn()");
  CHECK(w.flush() == w.last);
  CHECK(w.sql->value(fmt::format("SELECT pg_current_wal_flush_lsn() >= '{}'", written)) == "t");
}

TEST_CASE("a source transaction in many parts is one transaction at the destination") {
  auto const table = items();
  world w;
  w.ensure(table);
  w.apply({segment(table).insert({"0", "before", null})});
  auto const before = w.last;
  CHECK(w.flush() == before);
  for (int part = 0; part < 20; ++part) {
    segment rows(table);
    for (int i = 1; i <= 300; ++i) rows.insert({w.int8(part * 300 + i), "a", "x"});
    for (int i = 1; i <= 200; ++i) rows.update({w.int8(part * 300 + i), "b", unchanged});
    w.apply({rows}, false);
    CHECK(w.sql->value("SELECT count(*) FROM shop.items") == "1");
    CHECK(w.flush() == before);
  }

  SECTION("and becomes visible at its end") {
    w.apply({}, true);
    CHECK((*w.sql)("SELECT name, count(*) FROM shop.items GROUP BY 1 ORDER BY 1") ==
          lines{"a,2000", "b,4000", "before,1"});
    CHECK(w.flush() == w.last);
  }
  SECTION("or not at all when the connection is lost") {
    (*w.sql)("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etl-stream'");
    auto const failed = w.try_write({segment(table).insert({"9000", "x", null})}, true);
    REQUIRE(failed.has_error());
    CHECK(failed.error().kind == severity::retry);
    run(w.context, w.target->close());
    CHECK(w.open().durable == before);
    CHECK((*w.sql)(all_items) == lines{"0,before,NULL"});
  }
  SECTION("and a part that is refused leaves the others") {
    auto const failed = w.try_write({segment(table).insert({"secret", "x", null})}, false);
    REQUIRE(failed.has_error());
    CHECK(failed.error().kind == severity::data);
    CHECK(failed.error().table == 1);
    CHECK(failed.error().to_text().find("secret") == std::string::npos);
    // DDL of a later schema version belongs to the same transaction.
    auto wider = std::make_shared<model::relation>(*items(2));
    wider->columns.push_back(column("size", 23, "integer"));
    CHECK_FALSE(w.ensure(wider).created);
    w.apply({segment(wider).insert({"9000", "x", null, "4"})}, true);
    CHECK(w.sql->value("SELECT count(*), sum(size) FROM shop.items") == "6002,4");
  }
}

TEST_CASE("a pipeline has one writer") {
  world w;
  auto other = w.another(std::chrono::milliseconds(50));
  auto const refused = run(w.context, other->open());
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == "destination.in_use");
  CHECK(refused.error().message.find("etl-stream") != std::string::npos);

  // One that waits gets the lock when its predecessor's backend is gone.
  (*w.sql)("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etl-stream'");
  auto patient = w.another(std::chrono::seconds(30));
  CHECK(run(w.context, patient->open()).has_value());
  run(w.context, patient->close());
}

TEST_CASE("of a table without a key, one row of the same text is removed for each") {
  auto const table = relation("log", {column("line", 25, "text")}, {});
  auto const count = GENERATE(2, 500);
  world w;
  w.ensure(table);
  segment rows(table);
  for (int i = 0; i < count; ++i) rows.insert({"same"});
  w.apply({rows});
  CHECK(w.sql->value("SELECT count(*) FROM shop.log") == std::to_string(count));
  w.apply(
      {segment(table).insert({"x"}).remove({"same"}).remove({"x"}).insert({"y"}).insert({"same"}).remove({"same"})});
  CHECK((*w.sql)("SELECT line, count(*) FROM shop.log GROUP BY 1 ORDER BY 1") ==
        lines{fmt::format("same,{}", count - 1), "y,1"});
}

TEST_CASE("tables of every shape are written") {
  world w;
  SECTION("without columns") {
    auto const table = relation("nothing", {}, {});
    w.ensure(table);
    segment rows(table);
    for (int i = 0; i < 300; ++i) rows.insert({});
    w.apply({rows});
    CHECK(w.sql->value("SELECT count(*) FROM shop.nothing") == "300");
  }
  SECTION("that is all key") {
    auto const table = relation("pairs", {column("a", 20, "bigint"), column("b", 20, "bigint")}, {0, 1});
    w.ensure(table);
    segment rows(table);
    for (int i = 0; i < 300; ++i) rows.insert({w.int8(i), "1"});
    w.apply({rows});
    segment changes(table);
    for (int i = 0; i < 300; ++i) changes.update({w.int8(i), "1"});
    w.apply({changes});
    w.apply({segment(table).remove({"0", "1"}).update({"1", "1"})});
    CHECK(w.sql->value("SELECT count(*) FROM shop.pairs") == "299");
    CHECK(w.repaired() == 0);
  }
  SECTION("with odd names") {
    auto const table =
        relation("Odd \"t\" \\ \xc3\xa4",
                 {column("from", 20, "bigint"), column("c1", 25, "text"), column("c0\"", 25, "text")}, {0});
    w.ensure(table);
    segment rows(table);
    for (int i = 0; i < 300; ++i) rows.insert({w.int8(i), "1", "2"});
    for (int i = 0; i < 300; ++i) rows.update({w.int8(i), "3", unchanged});
    w.apply({rows});
    segment updates(table);
    for (int i = 0; i < 300; ++i) updates.update({w.int8(i), unchanged, "4"});
    w.apply({updates});
    CHECK(w.sql->value("SELECT count(*) FROM shop.\"Odd \"\"t\"\" \\ \xc3\xa4\" WHERE c1 = '3' AND \"c0\"\"\" = '4'") ==
          "300");
  }
  SECTION("with a domain that forbids NULL") {
    (*w.sql)("CREATE SCHEMA shop; CREATE DOMAIN shop.code AS text NOT NULL");
    auto code = column("code", 90'000, "shop.code");
    code.type_kind = 'd';
    code.base_type_oid = 25;
    code.base_type_name = "text";
    auto const table = relation("coded", {column("id", 20, "bigint"), code, column("n", 23, "integer")}, {0});
    w.ensure(table);
    segment rows(table), partial(table);
    for (int i = 0; i < 300; ++i) rows.insert({w.int8(i), "c", "1"});
    for (int i = 0; i < 300; ++i) partial.update({w.int8(i), unchanged, "2"});
    w.apply({rows});
    w.apply({partial});
    CHECK(w.sql->value("SELECT count(*) FROM shop.coded WHERE code = 'c' AND n = 2") == "300");
  }
  SECTION("with a key of an extension's type") {
    (*w.sql)("CREATE SCHEMA shop; CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext");
    auto const table = relation("words", {column("word", 90'000, "ext.citext"), column("n", 23, "integer")}, {0});
    auto const count = GENERATE(2, 300);
    w.ensure(table);
    segment rows(table), spelled(table);
    for (int i = 0; i < count; ++i) rows.insert({fmt::format("Word{}", i), "1"});
    for (int i = 0; i < count; ++i) spelled.remove({fmt::format("wORD{}", i)}).insert({fmt::format("word{}", i), "2"});
    w.apply({rows});
    w.apply({spelled});
    CHECK((*w.sql)("SELECT n, lower(word::text) = word::text, count(*) FROM shop.words GROUP BY 1, 2") ==
          lines{fmt::format("2,t,{}", count)});
    CHECK(w.repaired() == 0);
  }
  SECTION("that is partitioned at the destination only") {
    (*w.sql)(
        "CREATE SCHEMA shop; CREATE TABLE shop.items (id bigint PRIMARY KEY, name text, note text) PARTITION BY RANGE "
        "(id); "
        "CREATE TABLE shop.low PARTITION OF shop.items FOR VALUES FROM (0) TO (10); "
        "CREATE TABLE shop.high PARTITION OF shop.items DEFAULT");
    auto const table = items();
    CHECK_FALSE(w.ensure(table).created);
    w.apply({segment(table).insert({"1", "a", "x"}).insert({"20", "b", "y"})});
    w.apply({segment(table)
                 .update({"1", "c", unchanged})
                 .update({"20", "d", "z"})
                 .insert({"2", "e", null})
                 .insert({"3", "f", null})});
    w.apply({segment(table).rekey({"1"}, {"30", "g", unchanged}).remove({"3"})});
    CHECK((*w.sql)("SELECT tableoid::regclass, id, name, note FROM shop.items ORDER BY id") ==
          lines{"shop.low,2,e,NULL", "shop.high,20,d,z", "shop.high,30,g,x"});
    (*w.sql)("DELETE FROM shop.items WHERE id = 20");
    w.apply({segment(table).update({"20", "back", "q"})});
    CHECK(w.sql->value("SELECT name FROM shop.items WHERE id = 20") == "back");
    CHECK(w.repaired() == 1);
    model::batch batch;
    batch.steps.emplace_back(model::truncation{{table}, false, false, {}});
    REQUIRE(w.write(std::move(batch)).has_value());
    CHECK(w.sql->value("SELECT count(*) FROM shop.items") == "0");
  }
}

TEST_CASE("a table that is there is made to fit, or refused") {
  world w;
  (*w.sql)(
      "CREATE SCHEMA shop; CREATE TABLE shop.items (id bigint PRIMARY KEY, old text NOT NULL); INSERT INTO shop.items "
      "VALUES (7, 'x')");
  auto const table = items();
  auto const state = w.ensure(table);
  CHECK_FALSE(state.created);
  CHECK(state.has_rows);
  w.apply({segment(table).insert({"1", "a", "b"})});
  CHECK((*w.sql)(all_items) == lines{"1,NULL,a,b", "7,x,NULL,NULL"});

  auto other = std::make_shared<model::relation>(*items(2));
  other->columns[1].type_name = other->columns[1].base_type_name = "integer";
  auto const refused = run(w.context, w.target->ensure_table(other));
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == "destination.column_type");

  auto missing = std::make_shared<model::relation>(*items(3));
  missing->columns.push_back(column("mood", 90'000, "shop.mood"));
  auto const no_type = run(w.context, w.target->ensure_table(missing));
  REQUIRE(no_type.has_error());
  CHECK(no_type.error().code == "destination.type_missing");
  // The session is as good as before.
  w.apply({segment(table).remove({"1"})});
  CHECK(w.sql->value("SELECT count(*) FROM shop.items") == "1");
}

TEST_CASE("a refused value names its table, and the rest can be written without it") {
  auto const bulk = GENERATE(false, true);
  auto const table = items();
  auto const other = relation("others", {column("id", 20, "bigint")}, {0}, 2);
  world w;
  w.ensure(table);
  w.ensure(other);
  (*w.sql)("ALTER TABLE shop.items ADD CHECK (name <> 'secret')");
  segment bad(table), good(other);
  for (int i = 0; i < (bulk ? 500 : 1); ++i) bad.insert({w.int8(i), "secret", null});
  good.insert({"1"});
  auto const refused = w.try_write({good, bad});
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == severity::data);
  CHECK(refused.error().code == "destination.refused");
  CHECK(refused.error().table == 1);
  CHECK(refused.error().to_text().find("secret") == std::string::npos);
  CHECK(w.sql->value("SELECT count(*) FROM shop.others") == "0");
  w.apply({good});
  CHECK(w.sql->value("SELECT count(*) FROM shop.others") == "1");
}

TEST_CASE("two rows that claim one unique value are refused, not looped over") {
  auto const count = GENERATE(1, 500);
  auto const table = items();
  world w;
  w.ensure(table);
  (*w.sql)("CREATE UNIQUE INDEX ON shop.items (name)");
  segment rows(table);
  rows.insert({"-1", "0", null});
  for (int i = 0; i < count; ++i) rows.insert({w.int8(i), std::to_string(i), null});
  auto const refused = w.try_write({rows});
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == severity::data);
  CHECK(refused.error().sqlstate == "23505");
  w.apply({segment(table).insert({"1", "x", null})});
  CHECK((*w.sql)(all_items) == lines{"1,x,NULL"});
}
