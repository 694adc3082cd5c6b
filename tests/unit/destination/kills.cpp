#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "destination/file/segment_store.hpp"
#include "rows.hpp"

using namespace etl::test;
using etl::config::compression_method;
using etl::destination::file::segment_store;

namespace {

// Goes on from what is durable, as a pipeline would: two tables in turn, a few rows a batch, a flush every few batches.
// Tells its position after each flush.
[[noreturn]] void write_until_killed(std::string const& path, int out) {
  auto opened = segment_store::open({path, "shop", compression_method::zstd, 300});
  if (!opened) ::_exit(1);
  auto& store = **opened;
  etl::model::relation_ptr const tables[] = {make_table(1, "public", "t"), make_table(2, "public", "u")};
  for (auto const& table : tables) {
    if (!store.ensure_table(*table)) ::_exit(2);
  }
  auto n = store.progress().durable.commit.value;
  for (unsigned round = 1;; ++round) {
    auto const first = n + 1;
    n += 1 + round % 7;
    auto batch = make_batch({{"reached", std::to_string(n)}});
    add(batch, make_rows(tables[round % 2], first, n));
    if (!store.write(batch)) ::_exit(3);
    if (round % 3 != 0) continue;
    auto const durable = store.flush();
    if (!durable || ::write(out, &durable->commit.value, sizeof durable->commit.value) < 0) ::_exit(4);
  }
}

}  // namespace

TEST_CASE("killed again and again, the files hold every row once") {
  temporary_directory here;
  std::uint64_t told = 0;
  for (int life = 0; life < 25; ++life) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    auto const child = ::fork();
    if (child == 0) write_until_killed(here.path(), pipe[1]);
    ::close(pipe[1]);
    // Each life ends somewhere behind its first, second, … flush: wherever the child is by then.
    for (int flush = 0; flush <= life % 5; ++flush) REQUIRE(::read(pipe[0], &told, sizeof told) == sizeof told);
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    while (::read(pipe[0], &told, sizeof told) == sizeof told) {
    }
    ::close(pipe[0]);
  }
  auto const opened = segment_store::open({here.path(), "shop"});
  REQUIRE(opened);
  auto const progress = (*opened)->progress();
  CHECK(progress.durable.commit.value >= told);
  CHECK(progress.documents.at(0).value == std::to_string(progress.durable.commit.value));
  std::multiset<std::uint64_t> seen;
  for (auto const& row : read_store(here.path())) seen.insert(std::stoull(row.substr(row.rfind(' ') + 1)));
  bool once = seen.size() == progress.durable.commit.value;
  std::uint64_t next = 1;
  for (auto const n : seen) once = once && n == next++;
  CHECK(once);
}
