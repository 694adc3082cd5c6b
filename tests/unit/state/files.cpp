#include "state/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

using etl::severity;
using namespace etl::state;
using etl::test::content_of;
using etl::test::temporary_directory;
using etl::test::write_file;

namespace {

unsigned permissions(std::string const& path) {
  struct stat facts{};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  return facts.st_mode & 0777;
}

}  // namespace

TEST_CASE("directories are made with those above them, for the user alone") {
  temporary_directory here;
  CHECK(make_directories("test.code", here / "a/b/c").value());
  CHECK_FALSE(make_directories("test.code", here / "a/b/c").value());
  CHECK(permissions(here / "a") == 0700);
  CHECK(permissions(here / "a/b/c") == 0700);
  write_file(here / "file", "");
  for (auto const* name : {"file", "file/below"}) {
    CAPTURE(name);
    auto const made = make_directories("test.code", here / name);
    REQUIRE(!made);
    CHECK(made.error().code == "test.code");
    CHECK(made.error().kind == severity::config);
  }
}

TEST_CASE("a file is replaced as a whole") {
  temporary_directory here;
  CHECK(replace_file("test.code", here / "f", "one"));
  CHECK(replace_file("test.code", here / "f", "two"));
  CHECK(content_of(here / "f") == "two");
  CHECK(permissions(here / "f") == 0600);
  auto const file = open_file("test.code", here / "f", O_RDONLY);
  CHECK(read_all("test.code", *file, here / "f").value() == "two");
}

TEST_CASE("what a failure of the system means") {
  struct {
    int number;
    severity kind;
    bool hint;
  } const cases[] = {
      {ENOSPC, severity::retry, true},   {EDQUOT, severity::retry, true}, {EIO, severity::retry, false},
      {EMFILE, severity::retry, false},  {EROFS, severity::config, true}, {EACCES, severity::config, true},
      {ENOENT, severity::config, false},
  };
  for (auto const& c : cases) {
    CAPTURE(c.number);
    auto const failure = file_error("test.code", "writing", "/x/y", c.number);
    CHECK(failure.kind == c.kind);
    CHECK(failure.hint.empty() != c.hint);
    CHECK(failure.message.starts_with("writing /x/y: "));
  }
  // For real, where the system has such a device.
  if (auto full = open_file("test.code", "/dev/full", O_WRONLY)) {
    auto const written = write_all("test.code", *full, "x", "/dev/full");
    REQUIRE(!written);
    CHECK(written.error().kind == severity::retry);
  }
}

TEST_CASE("the directory above a path") {
  struct {
    char const* path;
    char const* above;
  } const cases[] = {{"/a/b", "/a"}, {"/a", "/"}, {"/", "/"}, {"a/b", "a"}, {"a", "."}};
  for (auto const& c : cases) CHECK(parent_directory(c.path) == c.above);
}
