#include "python/venv.hpp"

#include <stdlib.h>

#include <filesystem>

#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

TEST_CASE("pyvenv.cfg says whether an environment fits") {
  auto const language = etl::python::language_version();
  struct {
    std::string settings;
    bool fits;
    bool system_packages;
  } const cases[] = {
      {"home = /usr/bin\nversion = " + language + ".2\n", true, false},
      {"version=" + language + ".2\r\ninclude-system-site-packages = true\r\n", true, true},
      {"version_info = " + language + ".2.final.0\n", true, false},
      {"version = " + language + "1.2\n", false, false},
      {"version = 2.7.18\n", false, false},
      {"", false, false},
  };
  for (auto const& c : cases) {
    CAPTURE(c.settings);
    etl::test::temporary_directory here;
    etl::test::write_file(here / "pyvenv.cfg", c.settings);
    auto const looked = etl::python::look_at_venv(here.path());
    REQUIRE(looked.has_value() == c.fits);
    if (!c.fits) {
      CHECK(looked.error().code == "python.venv");
      continue;
    }
    REQUIRE(*looked);
    CHECK((*looked)->packages == here / "lib/python" + language + "/site-packages");
    CHECK((*looked)->system_packages == c.system_packages);
  }
  etl::test::temporary_directory here;
  CHECK(!etl::python::look_at_venv(here / "none").value());
}

TEST_CASE("the default environment is below the user's data") {
  std::string const home = ::getenv("HOME") == nullptr ? "" : ::getenv("HOME");
  ::setenv("XDG_DATA_HOME", "/data", 1);
  CHECK(etl::python::default_venv() == "/data/etl-stream/venv");
  ::unsetenv("XDG_DATA_HOME");
  ::setenv("HOME", "/home/ann", 1);
  CHECK(etl::python::default_venv() == "/home/ann/.local/share/etl-stream/venv");
  ::unsetenv("HOME");
  CHECK(etl::python::default_venv().empty());
  ::setenv("HOME", home.c_str(), 1);
}
