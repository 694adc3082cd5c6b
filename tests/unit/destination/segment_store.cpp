#include "destination/file/segment_store.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "rows.hpp"

namespace fs = std::filesystem;
using namespace etl::test;
using etl::position;
using etl::config::compression_method;
using etl::destination::file::segment_store;
using etl::destination::file::store_options;

namespace {

using history = std::vector<std::string>;

std::unique_ptr<segment_store> open(std::string const& path, compression_method compression = compression_method::none,
                                    std::uint64_t segment_bytes = 1 << 20) {
  auto opened = segment_store::open({path, "shop", compression, segment_bytes});
  REQUIRE(opened);
  return std::move(*opened);
}

void write(segment_store& to, etl::model::relation_ptr const& table, std::uint64_t first, std::uint64_t last,
           std::vector<etl::model::document> documents = {}) {
  auto batch = make_batch(std::move(documents));
  add(batch, make_rows(table, first, last));
  REQUIRE(to.write(batch));
}

std::size_t segments_in(std::string const& directory) {
  std::size_t count = 0;
  for (auto const& found : fs::directory_iterator(directory)) {
    if (found.path().filename().string().find(".ndjson") != std::string::npos) ++count;
  }
  return count;
}

auto const t = make_table(1, "public", "t");
auto const u = make_table(2, "public", "u");

}  // namespace

TEST_CASE("rows exist from the flush on, with their position and documents, whatever the compression") {
  for (auto const compression : {compression_method::none, compression_method::gzip, compression_method::zstd}) {
    CAPTURE(static_cast<int>(compression));
    temporary_directory here;
    auto const path = here / "files";
    {
      auto store = open(path, compression);
      CHECK(store->progress().durable == position{});
      auto const ensured = store->ensure_table(*t);
      REQUIRE(ensured);
      CHECK(ensured->created);
      CHECK_FALSE(ensured->has_rows);
      REQUIRE(store->ensure_table(*u));
      write(*store, t, 1, 3, {{"a", "1"}});
      write(*store, u, 4, 4);
      write(*store, t, 5, 6);
      CHECK(read_store(path).empty());
      CHECK(store->flush().value() == at(6));
      CHECK(store->flush().value() == at(6));
    }
    CHECK(read_store(path) ==
          history{"public.t 1", "public.t 2", "public.t 3", "public.t 5", "public.t 6", "public.u 4"});
    CHECK(manifest_lines(path).size() == 1);
    auto store = open(path, compression);
    auto const progress = store->progress();
    CHECK(progress.durable == at(6));
    REQUIRE(progress.documents.size() == 1);
    CHECK(progress.documents[0].value == "1");
    auto const ensured = store->ensure_table(*t);
    CHECK_FALSE(ensured->created);
    CHECK(ensured->has_rows);
  }
}

TEST_CASE("what was not flushed is gone at the next open") {
  temporary_directory here;
  {
    auto store = open(here.path());
    REQUIRE(store->ensure_table(*t));
    write(*store, t, 1, 2, {{"a", "1"}});
    REQUIRE(store->flush());
    write(*store, t, 3, 4, {{"a", "2"}});
  }
  auto store = open(here.path());
  CHECK(store->progress().durable == at(2));
  CHECK(store->progress().documents[0].value == "1");
  CHECK(fs::is_empty(here / ".etl-stream/incoming"));
  REQUIRE(store->ensure_table(*t));
  write(*store, t, 3, 5);
  REQUIRE(store->flush());
  CHECK(read_store(here.path()) == history{"public.t 1", "public.t 2", "public.t 3", "public.t 4", "public.t 5"});
}

TEST_CASE("a truncation stands between the rows before and after it, of its tables only") {
  temporary_directory here;
  auto store = open(here.path());
  REQUIRE(store->ensure_table(*t));
  REQUIRE(store->ensure_table(*u));
  auto batch = make_batch();
  add(batch, make_rows(t, 1, 2));
  add(batch, make_rows(u, 3, 3));
  add_truncation(batch, {t}, 4);
  add(batch, make_rows(t, 5, 5));
  add(batch, make_rows(u, 6, 6));
  REQUIRE(store->write(batch));
  REQUIRE(store->flush());
  CHECK(read_store(here.path()) ==
        history{"public.t 1", "public.t 2", "public.u 3", "public.u 6", "truncate public.t", "public.t 5"});
  CHECK(segments_in(here / "public.u") == 1);

  auto both = make_batch();
  add_truncation(both, {t, u}, 7);
  REQUIRE(store->write(both));
  CHECK(store->flush().value() == at(7));
  auto const now = read_store(here.path());
  CHECK(history(now.end() - 2, now.end()) == history{"truncate public.t", "truncate public.u"});
}

TEST_CASE("a segment ends at its size; many tables share few open files") {
  temporary_directory here;
  auto store = open(here.path(), compression_method::none, 100);
  REQUIRE(store->ensure_table(*t));
  for (std::uint64_t n = 1; n <= 100; ++n) write(*store, t, n, n);
  REQUIRE(store->flush());
  CHECK(segments_in(here / "public.t") >= 8);
  CHECK(read_store(here.path()).size() == 100);

  std::vector<etl::model::relation_ptr> tables;
  for (std::uint32_t i = 0; i < 200; ++i) {
    tables.push_back(make_table(10 + i, "many", "t" + std::to_string(i)));
    REQUIRE(store->ensure_table(*tables.back()));
  }
  std::uint64_t n = 1000;
  for (int round = 0; round < 3; ++round) {
    for (auto const& table : tables) {
      write(*store, table, n, n);
      ++n;
    }
    auto const opened = std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
    CHECK(opened < 180);
  }
  REQUIRE(store->flush());
  CHECK(read_store(here.path()).size() == 700);
}

TEST_CASE("large pieces and small ones keep their order, compressed or not") {
  for (auto const compression : {compression_method::none, compression_method::zstd}) {
    temporary_directory here;
    auto store = open(here.path(), compression, 64 << 20);
    REQUIRE(store->ensure_table(*t));
    std::uint64_t n = 1;
    for (std::uint64_t const count : {1u, 50'000u, 2u, 3u, 20'000u, 1u}) {
      write(*store, t, n, n + count - 1);
      n += count;
    }
    REQUIRE(store->flush());
    auto const rows = read_store(here.path());
    REQUIRE(rows.size() == n - 1);
    bool in_order = true;
    for (std::uint64_t i = 1; i < n; ++i) in_order = in_order && rows[i - 1] == "public.t " + std::to_string(i);
    CHECK(in_order);
  }
}

TEST_CASE("a segment has one set of columns, and an unchanged one is used again") {
  temporary_directory here;
  auto const wider = make_table(1, "public", "t", {"id", "more"});
  {
    auto store = open(here.path());
    REQUIRE(store->ensure_table(*t));
    write(*store, t, 1, 1);
    REQUIRE(store->ensure_table(*wider));
    write(*store, wider, 2, 2);
    REQUIRE(store->ensure_table(*wider));
    write(*store, wider, 3, 3);
    REQUIRE(store->flush());
  }
  {
    auto store = open(here.path());
    REQUIRE(store->ensure_table(*wider));
    write(*store, wider, 4, 4);
    REQUIRE(store->flush());
  }
  std::vector<std::string> columns;
  for (auto const& line : manifest_lines(here.path())) {
    for (auto const& step : line.at("steps").as_array()) columns.emplace_back(step.at("columns").as_string());
  }
  CHECK(columns ==
        std::vector<std::string>{"public.t/schema-1.json", "public.t/schema-2.json", "public.t/schema-2.json"});
  auto const described = boost::json::parse(content_of(here / "public.t/schema-2.json"));
  CHECK(described.at("columns").as_array().size() == 2);
  CHECK(described.at("columns").at(1).at("name").as_string() == "more");
  CHECK(described.at("key").at(0).as_string() == "id");
  CHECK(read_store(here.path()).size() == 4);
}

TEST_CASE("documents alone, and a position alone, are flushed") {
  temporary_directory here;
  {
    auto store = open(here.path());
    REQUIRE(store->write(make_batch({{"a", "1"}, {"b", "2"}})));
    CHECK(store->flush().value() == position{});
    auto batch = make_batch({{"a", ""}});
    batch.last = at(9);
    REQUIRE(store->write(batch));
    CHECK(store->flush().value() == at(9));
  }
  auto const progress = open(here.path())->progress();
  CHECK(progress.durable == at(9));
  REQUIRE(progress.documents.size() == 1);
  CHECK(progress.documents[0].key == "b");
}

TEST_CASE("a directory serves one pipeline, and one process") {
  temporary_directory here;
  {
    auto const store = open(here.path());
    auto const second = segment_store::open({here.path(), "shop"});
    REQUIRE(!second);
    CHECK(second.error().code == "destination.in_use");
  }
  auto const other = segment_store::open({here.path(), "warehouse"});
  REQUIRE(!other);
  CHECK(other.error().code == "destination.other_pipeline");
  CHECK(other.error().message.find("the pipeline shop") != std::string::npos);
  fs::create_directory(here / "foreign");
  write_file(here / "foreign/manifest.ndjson", "somebody's\n");
  auto const foreign = segment_store::open({here / "foreign", "shop"});
  REQUIRE(!foreign);
  CHECK(foreign.error().code == "destination.other_pipeline");
  CHECK(content_of(here / "foreign/manifest.ndjson") == "somebody's\n");
  write_file(here / "file", "");
  auto const impossible = segment_store::open({here / "file", "shop"});
  REQUIRE(!impossible);
  CHECK(impossible.error().code == "destination.file");
}

TEST_CASE("names that no directory can have stop that table alone") {
  temporary_directory here;
  auto store = open(here.path());
  for (auto const& table : {make_table(7, "public", "not utf-8 \xff"), make_table(7, "public", "t", {"\xc3"}),
                            make_table(7, std::string(63, '/'), std::string(63, '/'))}) {
    auto const refused = store->ensure_table(*table);
    REQUIRE(!refused);
    CHECK(refused.error().code == "destination.table_name");
    CHECK(refused.error().kind == etl::severity::data);
    CHECK(refused.error().table == 7);
  }
  CHECK(store->ensure_table(*t));
}

TEST_CASE("files that are not ours are left alone") {
  temporary_directory here;
  {
    REQUIRE(open(here.path())->ensure_table(*t));
  }
  write_file(here / "public.t/notes.ndjson", "mine");
  write_file(here / "notes", "mine");
  open(here.path());
  CHECK(content_of(here / "public.t/notes.ndjson") == "mine");
  CHECK(content_of(here / "notes") == "mine");
}

TEST_CASE("killed at any step of a flush, a reader sees every row once") {
  // The directory as each step leaves it, put together from copies before and after.
  temporary_directory here;
  auto const before = here / "before";
  auto const after = here / "after";
  auto const wanted = history{"public.t 1", "public.t 2", "truncate public.t", "public.t 4", "public.u 5"};
  auto const second = [] {
    auto batch = make_batch({{"a", "2"}});
    add_truncation(batch, {t}, 3);
    add(batch, make_rows(t, 4, 4));
    add(batch, make_rows(u, 5, 5));
    return batch;
  };
  {
    auto store = open(here / "store");
    REQUIRE(store->ensure_table(*t));
    REQUIRE(store->ensure_table(*u));
    write(*store, t, 1, 2, {{"a", "1"}});
    REQUIRE(store->flush());
    REQUIRE(store->write(second()));
    fs::copy(here / "store", before, fs::copy_options::recursive);
    REQUIRE(store->flush());
    fs::copy(here / "store", after, fs::copy_options::recursive);
  }
  auto const line = content_of(after + "/manifest.ndjson");
  struct {
    char const* step;
    bool t_renamed;
    bool u_renamed;
    std::size_t manifest;  // bytes of the second line
  } const cases[] = {
      {"segments written", false, false, 0},
      {"one renamed", true, false, 0},
      {"both renamed", true, true, 0},
      {"half a line", true, true, 40},
      {"all but the line feed", true, true, line.size() - content_of(before + "/manifest.ndjson").size() - 1},
      {"the whole line", true, true, line.size() - content_of(before + "/manifest.ndjson").size()},
  };
  for (auto const& c : cases) {
    CAPTURE(c.step);
    auto const killed = here / "killed";
    fs::remove_all(killed);
    fs::copy(before, killed, fs::copy_options::recursive);
    for (auto const& [renamed, directory] : {std::pair(c.t_renamed, "public.t"), std::pair(c.u_renamed, "public.u")}) {
      if (renamed) {
        fs::copy(after + '/' + directory, killed + '/' + directory,
                 fs::copy_options::recursive | fs::copy_options::overwrite_existing);
      }
    }
    write_file(killed + "/manifest.ndjson",
               line.substr(0, content_of(before + "/manifest.ndjson").size() + c.manifest));
    auto store = open(killed);
    bool const counted = line == content_of(killed + "/manifest.ndjson");
    CHECK(store->progress().durable == at(counted ? 5 : 2));
    CHECK(store->progress().documents[0].value == (counted ? "2" : "1"));
    if (!counted) {
      CHECK(segments_in(killed + "/public.t") == 1);
      CHECK(segments_in(killed + "/public.u") == 0);
      REQUIRE(store->ensure_table(*t));
      REQUIRE(store->ensure_table(*u));
      REQUIRE(store->write(second()));
      REQUIRE(store->flush());
    }
    CHECK(read_store(killed) == wanted);
  }
}
