#include "state/lock_file.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

using etl::error;
using etl::severity;
using etl::state::lock_file;
using etl::test::temporary_directory;

namespace {

etl::result<lock_file> take(std::string const& path) {
  return lock_file::take("test.file", path, error{severity::config, "test.busy", "it runs already", "Stop it."});
}

}  // namespace

TEST_CASE("a lock is free again when its holder is gone") {
  temporary_directory here;
  {
    auto const first = take(here / "lock");
    REQUIRE(first);
    auto const second = take(here / "lock");
    REQUIRE(!second);
    CHECK(second.error().code == "test.busy");
    auto const start = "it runs already, in process " + std::to_string(::getpid()) + ", since ";
    CHECK(second.error().message.starts_with(start));
    CHECK(second.error().hint == "Stop it.");
  }
  CHECK(take(here / "lock"));
}

TEST_CASE("the lock of a process that was killed is free") {
  temporary_directory here;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  auto const child = ::fork();
  if (child == 0) {
    auto const mine = take(here / "lock");
    char const said = mine ? 'y' : 'n';
    if (::write(ready[1], &said, 1) == 1) ::pause();
    ::_exit(1);
  }
  char said = 0;
  REQUIRE(::read(ready[0], &said, 1) == 1);
  CHECK(said == 'y');
  auto const refused = take(here / "lock");
  REQUIRE(!refused);
  CHECK(refused.error().message.find("process " + std::to_string(child)) != std::string::npos);
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(take(here / "lock"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a lock file that cannot be made") {
  temporary_directory here;
  auto const refused = take(here / "missing/lock");
  REQUIRE(!refused);
  CHECK(refused.error().code == "test.file");
}
