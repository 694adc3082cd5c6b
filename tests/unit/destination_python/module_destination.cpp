#include "destination/python/module_destination.hpp"

#include <optional>

#include "../destination/rows.hpp"
#include "encode/copy_rows.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace etl::test;
using etl::config::batch_format;
using etl::destination::module_destination;
using etl::destination::module_options;

namespace {

// A module that keeps what it is told in a file of text, one line a call, and takes its answers from its settings.
constexpr char const* recorder = R"(
import etl_stream

class Recorder:
    def __init__(self, config):
        self.config = config
        self.file = open_file(config["settings"]["path"], "a")
        self.say("open", config["pipeline"])
        self.positions = {}

    def say(self, *words):
        print(*words, file=self.file, flush=True)

    def ensure_table(self, table):
        self.say("ensure", table["schema"], table["name"], [c["name"] for c in table["columns"]], table["key"])
        return self.config["settings"].get("position")

    def write(self, table, batch):
        if "refuse" in self.config["settings"]:
            raise etl_stream.DataError("not this one")
        self.say("write", table["name"], batch.count, batch.first[-2:], batch.last[-2:],
                 batch.only_new, batch.copied, batch.copying, content(batch))
        self.positions[table["oid"]] = batch.last

    def durable(self):
        return self.positions if self.config["settings"].get("durable", "yes") == "yes" else {}

    def close(self):
        self.say("close")
        self.file.close()

open_file = open

def content(batch):
    if isinstance(batch, etl_stream.NdjsonBatch):
        return batch.rows.decode().replace("\n", " ")
    return type(batch.__arrow_c_stream__()).__name__, type(batch.__arrow_c_stream__()).__name__

def open(config):
    return Recorder(config)
)";

// As above, with one position for everything.
constexpr char const* transactional = R"(
import json

class Store:
    def __init__(self, path):
        self.path = path
        try:
            with open_file(path) as file:
                self.position, self.documents, self.rows = json.load(file)
        except FileNotFoundError:
            self.position, self.documents, self.rows = "", {}, []

    def recover(self): return self.position, self.documents
    def ensure_table(self, table): return {"created": not self.rows, "has_rows": bool(self.rows)}
    def write(self, table, batch): self.rows.append([table["name"], batch.count])
    def truncate(self, table, position): self.rows = [row for row in self.rows if row[0] != table["name"]]

    def end_batch(self, position, documents, ends_transaction):
        self.accepted = position
        self.documents.update(documents)
        self.complete = ends_transaction

    def durable(self):
        if self.complete:
            self.position = self.accepted
            with open_file(self.path, "w") as file:
                json.dump([self.position, self.documents, self.rows], file)
        return self.position

    def close(self): pass

open_file = open

def open(config): return Store(config["settings"]["path"])
)";

struct world {
  temporary_directory here;
  etl::python::interpreter python{{}};

  module_options options(char const* source, batch_format format = batch_format::ndjson) {
    module_options made;
    made.python = &python;
    made.module = "under_test";
    made.source = source;
    made.config = {{"pipeline", "shop"}};
    made.settings.emplace("path", etl::config::secret(here / "told"));
    made.format = format;
    return made;
  }
  std::string told() { return content_of(here / "told"); }
};

etl::model::table_rows rows_of(etl::model::relation_ptr table, std::uint64_t first, std::uint64_t last) {
  auto rows = make_rows(std::move(table), first, last);
  for (auto n = first; n <= last; ++n) rows.origins.push_back({at(n), 0});
  return rows;
}

// Opens, ensures, writes rows 1 to 3 and makes them durable; the first error, or what is durable.
asio::awaitable<etl::result<etl::position>> one_run(module_destination& target, etl::model::batch batch,
                                                    etl::model::relation_ptr table) {
  auto const opened = co_await target.open();
  if (!opened) co_return opened.error();
  auto const ensured = co_await target.ensure_table(std::move(table));
  if (!ensured) co_return ensured.error();
  auto const written = co_await target.write(batch);
  if (!written) co_return written.error();
  co_return co_await target.flush();
}

etl::result<etl::position> run(module_options options, etl::model::batch batch, etl::model::relation_ptr table) {
  module_destination target(std::move(options));
  auto const all = [&]() -> asio::awaitable<etl::result<etl::position>> {
    auto outcome = co_await one_run(target, std::move(batch), table);
    co_await target.close();
    co_return outcome;
  };
  return run_coro(all());
}

etl::model::batch rows_1_to_3(etl::model::relation_ptr table) {
  auto batch = make_batch();
  add(batch, rows_of(std::move(table), 1, 3));
  return batch;
}

}  // namespace

TEST_CASE("a module is opened, told of its table, given rows and closed") {
  world w;
  auto const table = make_table(7, "public", "t", {"id", "x"});
  CHECK(run(w.options(recorder), rows_1_to_3(table), table).value() == at(3));
  CHECK(w.told() ==
        "open shop\n"
        "ensure public t ['id', 'x'] ['id']\n"
        "write t 3 01 03 True False False {\"n\":1} {\"n\":2} {\"n\":3} \n"
        "close\n");
}

TEST_CASE("rows that the module has are not given to it again") {
  world w;
  auto const table = make_table(7, "public", "t");
  auto options = w.options(recorder);
  options.settings.emplace("position", etl::config::secret(at(2).to_text()));
  CHECK(run(options, rows_1_to_3(table), table).value() == at(3));
  CHECK(w.told().find("write t 1 03 03 True False False {\"n\":3} \n") != std::string::npos);
}

TEST_CASE("what is not durable is not said to be") {
  world w;
  auto const table = make_table(7, "public", "t");
  auto options = w.options(recorder);
  options.settings.emplace("durable", etl::config::secret("no"));
  CHECK(run(options, rows_1_to_3(table), table).value() == etl::position{});
}

TEST_CASE("rows come as Arrow streams, as often as asked for") {
  world w;
  auto table = std::make_shared<etl::model::relation>(*make_table(7, "public", "t"));
  table->columns[0].type_oid = table->columns[0].base_type_oid = 23;
  etl::model::relation_ptr const shared = table;
  etl::model::table_rows rows{.table = shared, .first = at(1), .last = at(1)};
  std::vector<pgoutput::value> const values{{pgoutput::value_kind::text, "42"}};
  REQUIRE(etl::encode::encode_copy_row(rows.bytes, *shared, etl::model::operation::insert, {}, values));
  rows.rows.push_back({static_cast<std::uint32_t>(rows.bytes.size())});
  rows.origins.push_back({at(1), 0});
  auto batch = make_batch();
  add(batch, std::move(rows));
  CHECK(run(w.options(recorder, batch_format::arrow), std::move(batch), shared).value() == at(1));
  CHECK(w.told().find("('PyCapsule', 'PyCapsule')") != std::string::npos);
}

TEST_CASE("errors of a module say what is wrong and where") {
  world w;
  auto const table = make_table(7, "public", "t");
  struct {
    std::string source;
    etl::severity kind;
    std::string code;
    std::string message;  // the end of it
  } const cases[] = {
      {"x = 1", etl::severity::config, "python.protocol", "there is no function open()"},
      {"def open(config): return 1", etl::severity::config, "python.protocol", "open() returns has no ensure_table()"},
      {"def open(config): raise KeyError('x')", etl::severity::retry, "python.exception",
       "Python raised KeyError at under_test.py:1 in open"},
      {"class D:\n"
       "  def ensure_table(self, t): return 'soon'\n"
       "  write = durable = close = ensure_table\n"
       "def open(config): return D()",
       etl::severity::config, "python.protocol", "ensure_table() has to return None, a position or a dict"},
      {"class D:\n"
       "  def ensure_table(self, t): pass\n"
       "  def write(self, t, b): pass\n"
       "  def durable(self): return 5\n"
       "  def close(self): pass\n"
       "def open(config): return D()",
       etl::severity::config, "python.protocol",
       "durable() has to return a position, a dict of one for each table's oid, or None"},
  };
  for (auto const& c : cases) {
    CAPTURE(c.source);
    auto const outcome = run(w.options(c.source.c_str()), rows_1_to_3(table), table);
    REQUIRE(!outcome);
    CHECK(outcome.error().kind == c.kind);
    CHECK(outcome.error().code == c.code);
    CHECK_THAT(outcome.error().message, Catch::EndsWith(c.message));
  }
}

TEST_CASE("an error of one table names it, and a TRUNCATE nobody takes is one") {
  world w;
  auto const table = make_table(7, "public", "t");
  auto options = w.options(recorder);
  options.settings.emplace("refuse", etl::config::secret("yes"));
  auto const refused = run(options, rows_1_to_3(table), table);
  REQUIRE(!refused);
  CHECK(refused.error().kind == etl::severity::data);
  CHECK(refused.error().table == 7);
  CHECK(refused.error().message == "not this one");

  auto batch = make_batch();
  add_truncation(batch, {table}, 4);
  auto const truncated = run(w.options(recorder), std::move(batch), table);
  REQUIRE(!truncated);
  CHECK(truncated.error().kind == etl::severity::data);
  CHECK(truncated.error().table == 7);
}

TEST_CASE("a module with one position for everything recovers it, and the documents") {
  world w;
  auto const table = make_table(7, "public", "t");
  for (std::uint64_t life = 0; life < 3; ++life) {
    CAPTURE(life);
    module_destination target(w.options(transactional));
    auto const all = [&]() -> asio::awaitable<void> {
      auto const opened = co_await target.open();
      REQUIRE(opened);
      CHECK(target.what_it_can().exactly_once);
      CHECK(target.what_it_can().keeps_documents);
      CHECK_FALSE(target.what_it_can().splits_transactions);
      CHECK_FALSE(target.what_it_can().positions_by_table);
      CHECK(opened->durable == (life == 0 ? etl::position{} : at(10 * life)));
      CHECK(opened->documents.size() == (life == 0 ? 0 : 1));
      auto const ensured = co_await target.ensure_table(table);
      REQUIRE(ensured);
      CHECK(ensured->created == (life == 0));
      CHECK(ensured->has_rows == (life > 0));
      auto batch = make_batch({{"copy", std::to_string(life)}});
      add(batch, rows_of(table, 10 * life + 1, 10 * life + 5));
      batch.ends_transaction = false;
      auto const first = co_await target.write(batch);
      CHECK(first);
      auto const before = co_await target.flush();
      CHECK(before.value() == at(10 * life));  // inside a transaction nothing is committed
      auto rest = make_batch();
      add(rest, rows_of(table, 10 * life + 6, 10 * life + 10));
      auto const second = co_await target.write(rest);
      CHECK(second);
      auto const after = co_await target.flush();
      CHECK(after.value() == at(10 * life + 10));
      co_await target.close();
    };
    run_coro(all());
  }
}

TEST_CASE("closing without having been opened is nothing") {
  world w;
  module_destination target(w.options(recorder));
  run_coro(target.close());
  CHECK(w.told().empty());
}
