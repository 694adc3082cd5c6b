#include "cli/python.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "python/setup.hpp"
#include "python/venv.hpp"

namespace etl::cli {
namespace {

int tell(error const& failure) {
  std::fprintf(stderr, "etl-stream: %s\n", failure.message.c_str());
  if (!failure.hint.empty()) std::fprintf(stderr, "  %s\n", failure.hint.c_str());
  return exit_failed;
}

std::vector<python::extra> chosen_extras(std::vector<std::string> const& names) {
  std::vector<python::extra> chosen;
  for (auto const& one : python::extras()) {
    if (names.empty() || std::ranges::find(names, one.name) != names.end()) chosen.push_back(one);
  }
  return chosen;
}

int check(std::string const& venv, std::vector<python::extra> const& extras) {
  auto const looked = python::look_at_venv(venv);
  if (!looked) return tell(looked.error());
  bool fit = true;
  std::string text = fmt::format("{}: {}\n", venv, *looked ? "Python " + python::language_version() : "not there");
  for (auto const& extra : extras) {
    for (auto const& package : python::packages_of(extra, venv)) {
      bool const same = package.installed == package.version;
      fit = fit && same;
      text += fmt::format("{:<10} {} {}{}\n", extra.name, package.name,
                          package.installed.empty() ? "missing" : package.installed,
                          same ? "" : fmt::format(" ({} is needed)", package.version));
    }
  }
  if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0) return exit_failed;
  if (fit) return exit_ok;
  std::fprintf(stderr, "Run: etl-stream python setup --venv %s\n", venv.c_str());
  return exit_failed;
}

}  // namespace

int python(python_arguments const& arguments) {
  auto const venv = arguments.venv.empty() ? etl::python::default_venv() : arguments.venv;
  if (venv.empty()) {
    return tell({severity::config, "python.venv", "there is no place for the environment: HOME is not set",
                 "Name one with --venv."});
  }
  auto const extras = chosen_extras(arguments.extras);
  if (arguments.action == "check") return check(venv, extras);
  if (auto const made = etl::python::set_up(venv, extras); !made) return tell(made.error());
  return check(venv, extras);
}

}  // namespace etl::cli
