#include "state/store.hpp"

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "state/sqlite_store.hpp"
#include "support/run_coro.hpp"
#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

namespace asio = boost::asio;
using etl::error;
using etl::result;
using etl::severity;
using etl::model::document;
using etl::state::open_store;
using etl::state::sqlite_file;
using etl::state::store;
using etl::test::content_of;
using etl::test::run_coro;
using etl::test::temporary_directory;
using etl::test::write_file;

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

pairs all_of(sqlite_file& file) {
  pairs found;
  for (auto const& one : file.all().value()) found.emplace_back(one.key, one.value);
  return found;
}

std::string code_of(result<sqlite_file> const& opened) { return opened ? "opened" : std::string(opened.error().code); }

void run_sql(std::string const& path, char const* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

}  // namespace

TEST_CASE("documents are kept, replaced and removed, each pipeline's by themselves") {
  temporary_directory here;
  auto const path = here / "deep/down/state.db";
  {
    auto one = sqlite_file::open(path, "one");
    auto two = sqlite_file::open(path, "two");
    REQUIRE(one);
    REQUIRE(two);
    CHECK(one->put({{"b", "1"}, {"a", "2"}, {"c", "3"}}));
    CHECK(two->put({{"a", "other"}}));
    CHECK(one->put({{"b", "new"}, {"c", ""}, {"never", ""}}));
    CHECK(one->put({}));
    CHECK(one->get("b").value() == "new");
    CHECK(one->get("c").value() == std::nullopt);
    CHECK(two->get("b").value() == std::nullopt);
  }
  auto again = sqlite_file::open(path, "one");
  REQUIRE(again);
  CHECK(all_of(*again) == pairs{{"a", "2"}, {"b", "new"}});
}

TEST_CASE("values may hold anything") {
  temporary_directory here;
  auto file = sqlite_file::open(here / "state.db", "p");
  std::string const odd("quote ' \" \n \xc3\xa9 and a zero \0 byte", 32);
  CHECK(file->put({{"k'\"", odd}}));
  CHECK(file->get("k'\"").value() == odd);
}

TEST_CASE("the file is its user's alone") {
  temporary_directory here;
  auto const mask = ::umask(0);
  auto file = sqlite_file::open(here / "made/state.db", "p");
  REQUIRE(file);
  CHECK(file->put({{"a", "1"}}));
  ::umask(mask);
  for (auto const& [name, wanted] : std::vector<std::pair<std::string, unsigned>>{
           {"made", 0700}, {"made/state.db", 0600}, {"made/state.db-wal", 0600}, {"made/state.db.p.lock", 0600}}) {
    CAPTURE(name);
    struct stat facts{};
    REQUIRE(::stat((here / name).c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777) == wanted);
  }
}

TEST_CASE("a second process on the same pipeline is refused, on another one it is not") {
  temporary_directory here;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  auto const child = ::fork();
  if (child == 0) {
    auto const mine = sqlite_file::open(here / "state.db", "shop");
    char const said = mine ? 'y' : 'n';
    if (::write(ready[1], &said, 1) == 1) ::pause();
    ::_exit(1);
  }
  char said = 0;
  REQUIRE(::read(ready[0], &said, 1) == 1);
  REQUIRE(said == 'y');
  auto const refused = sqlite_file::open(here / "state.db", "shop");
  REQUIRE(!refused);
  CHECK(refused.error().code == "state.in_use");
  CHECK(refused.error().kind == severity::config);
  CHECK(refused.error().message.starts_with("the pipeline shop runs already, in process " + std::to_string(child)));
  CHECK(sqlite_file::open(here / "state.db", "other"));
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(sqlite_file::open(here / "state.db", "shop"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a put is whole or not there at all, whenever the process is killed") {
  temporary_directory here;
  auto const path = here / "state.db";
  int told[2];
  REQUIRE(::pipe(told) == 0);
  auto const child = ::fork();
  if (child == 0) {
    auto mine = sqlite_file::open(path, "p");
    for (int i = 1; mine; ++i) {
      auto const value = std::to_string(i);
      if (!mine->put({{"a", value}, {"b", value}, {"c", value}})) break;
      if (::write(told[1], &i, sizeof i) != sizeof i) break;
    }
    ::_exit(1);
  }
  int last = 0;
  while (last < 50) REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  ::close(told[1]);
  while (::read(told[0], &last, sizeof last) == sizeof last) {
  }
  ::close(told[0]);
  auto after = sqlite_file::open(path, "p");
  REQUIRE(after);
  auto const found = all_of(*after);
  REQUIRE(found.size() == 3);
  CHECK(found[0].second == found[1].second);
  CHECK(found[0].second == found[2].second);
  // What was told is there; one more may be.
  int const kept = std::stoi(found[0].second);
  CHECK((kept == last || kept == last + 1));
}

TEST_CASE("files that are no state") {
  temporary_directory here;
  SECTION("text") {
    write_file(here / "state.db", std::string(4096, 'x'));
    auto const opened = sqlite_file::open(here / "state.db", "p");
    REQUIRE(code_of(opened) == "state.damaged");
    CHECK(opened.error().kind == severity::config);
    CHECK(opened.error().message.find(here / "state.db") != std::string::npos);
  }
  SECTION("another program's database") {
    run_sql(here / "state.db", "CREATE TABLE song (name TEXT)");
    CHECK(code_of(sqlite_file::open(here / "state.db", "p")) == "state.foreign");
  }
  SECTION("a later version's") {
    REQUIRE(sqlite_file::open(here / "state.db", "p"));
    run_sql(here / "state.db", "PRAGMA user_version = 2");
    CHECK(code_of(sqlite_file::open(here / "state.db", "p")) == "state.newer");
  }
  SECTION("damaged within") {
    {
      auto file = sqlite_file::open(here / "state.db", "p");
      for (int i = 0; i < 200; ++i) REQUIRE(file->put({{"key " + std::to_string(i), std::string(100, 'v')}}));
    }
    auto content = content_of(here / "state.db");
    REQUIRE(content.size() > 12'000);
    content.replace(4096, content.size() - 4096, std::string(content.size() - 4096, '\x7f'));
    write_file(here / "state.db", content);
    auto file = sqlite_file::open(here / "state.db", "p");
    REQUIRE(file);
    auto const read = file->all();
    REQUIRE(!read);
    CHECK(read.error().code == "state.damaged");
  }
  SECTION("a directory in its place") {
    std::filesystem::create_directory(here / "state.db");
    CHECK(code_of(sqlite_file::open(here / "state.db", "p")) == "state.open");
  }
  SECTION("a file where its directory should be") {
    write_file(here / "dir", "");
    CHECK(code_of(sqlite_file::open(here / "dir/state.db", "p")) == "state.open");
  }
}

TEST_CASE("a disk without room is an error that passes, and nothing is half written") {
  temporary_directory here;
  auto const path = here / "state.db";
  REQUIRE(sqlite_file::open(path, "p")->put({{"a", "1"}}));
  // A child, for the limit on its files' size.
  auto const child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    auto file = sqlite_file::open(path, "p");
    rlimit const small{64 << 10, 64 << 10};
    if (!file || ::setrlimit(RLIMIT_FSIZE, &small) != 0) ::_exit(1);
    auto const refused = file->put({{"a", "2"}, {"b", std::string(1 << 20, 'x')}});
    bool const passing = !refused && refused.error().kind == severity::retry &&
                         (refused.error().code == "state.disk_full" || refused.error().code == "state.failed");
    ::_exit(passing && file->get("a").value() == "1" ? 0 : 2);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  auto after = sqlite_file::open(path, "p");
  REQUIRE(after);
  CHECK(all_of(*after) == pairs{{"a", "1"}});
}

TEST_CASE("a store of coroutines: overlapping calls take effect in order, closing frees the lock") {
  temporary_directory here;
  auto const url = "sqlite:" + (here / "state.db");
  asio::io_context context(1);
  etl::runtime::blocking_worker worker;
  auto const body = [&]() -> asio::awaitable<std::string> {
    auto opened = co_await open_store(url, "p", worker);
    if (!opened) co_return "not opened";
    auto& kept = **opened;
    int answered = 0;
    bool well = true;
    for (int i = 0; i < 10; ++i) {
      std::vector<document> documents;
      documents.push_back({"k", std::to_string(i)});
      asio::co_spawn(context, kept.put(std::move(documents)), [&](std::exception_ptr thrown, result<void> done) {
        ++answered;
        well = well && !thrown && done;
      });
    }
    auto const got = co_await kept.get("k");
    auto const all = co_await kept.all();
    auto const twice = co_await open_store(url, "p", worker);
    co_await kept.close();
    auto const again = co_await open_store(url, "p", worker);
    co_return got.value().value_or("nothing") + (well && answered == 10 ? " ok " : " bad ") +
        std::to_string(all->size()) + ' ' + std::string(twice ? "opened twice" : twice.error().code) +
        (again ? " again" : " locked");
  };
  CHECK(run_coro(context, body()) == "9 ok 1 state.in_use again");
}

TEST_CASE("a URL that is not of SQLite") {
  etl::runtime::blocking_worker worker;
  for (auto const* url : {"", "sqlite:", "redis://localhost", "/var/lib/state.db"}) {
    CAPTURE(url);
    auto const opened = run_coro(open_store(url, "p", worker));
    REQUIRE(!opened);
    CHECK(opened.error().code == "state.url");
  }
}
