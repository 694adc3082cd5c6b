#include "python/setup.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>

#include "python/requirements_duckdb.hpp"
#include "python/requirements_snowflake.hpp"
#include "python/venv.hpp"

namespace etl::python {
namespace {

namespace fs = std::filesystem;

// Runs a program to its end. Its exit status, or nothing when it cannot be started or was killed.
std::optional<int> run(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (::posix_spawn(&child, arguments.front(), nullptr, nullptr, arguments.data(), environ) != 0) return std::nullopt;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  if (!WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status);
}

bool succeeded(std::vector<std::string> words) { return run(std::move(words)) == 0; }

// As names of distributions are compared and spelled in directories: the Python packaging user guide, "Names and
// normalization".
std::string normalized(std::string_view name) {
  std::string made;
  for (char const c : name) {
    made += c == '-' || c == '.' ? '_' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return made;
}

// The version of a distribution in a directory of packages: what its .dist-info directory is called after.
std::string installed_version(fs::path const& packages, std::string const& name) {
  constexpr std::string_view suffix = ".dist-info";
  std::error_code failed;
  for (auto const& entry : fs::directory_iterator(packages, failed)) {
    auto const file = entry.path().filename().string();
    if (!file.ends_with(suffix)) continue;
    auto const dash = file.rfind('-', file.size() - suffix.size() - 1);
    if (dash == std::string::npos || normalized(file.substr(0, dash)) != normalized(name)) continue;
    return file.substr(dash + 1, file.size() - suffix.size() - dash - 1);
  }
  return "";
}

result<void> make_venv(std::string const& venv) {
  auto const looked = look_at_venv(venv);
  std::error_code failed;
  bool const ours = !looked || *looked;
  if (!ours && fs::exists(venv, failed) && !fs::is_empty(venv, failed)) {
    return error{severity::config, "python.venv",
                 fmt::format("{} is there, and no virtual environment of Python's", venv),
                 "Name an empty or a new directory."};
  }
  if (looked && *looked && fs::exists(venv + "/bin/python", failed) &&
      fs::is_directory((*looked)->packages + "/pip", failed)) {
    return result<void>();
  }
  if (!succeeded({ETL_PYTHON, "-c", "import venv, ensurepip"})) {
    return error{severity::config, "python.venv",
                 fmt::format("Python {} on this machine cannot make virtual environments", language_version()),
                 "On Debian and Ubuntu: apt-get install python3-venv"};
  }
  if (!looked && !succeeded({ETL_PYTHON, "-m", "venv", "--clear", venv})) {
    return error{severity::config, "python.venv", fmt::format("{} could not be made again", venv)};
  }
  if (!succeeded({ETL_PYTHON, "-m", "venv", venv})) {
    return error{severity::config, "python.venv", fmt::format("the virtual environment {} could not be made", venv),
                 "The lines above are Python's."};
  }
  return result<void>();
}

result<void> install(std::string const& venv, extra const& one) {
  // Kept in the environment: it says what was put there.
  auto const list = fmt::format("{}/requirements-{}.txt", venv, one.name);
  std::ofstream file(list, std::ios::binary);
  file << one.requirements << std::flush;
  if (!file) return error{severity::config, "python.install", fmt::format("{} cannot be written", list)};
  if (!succeeded({venv + "/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes",
                  "--only-binary", ":all:", "--no-deps", "--requirement", list})) {
    return error{severity::config, "python.install",
                 fmt::format("the packages for {} could not be installed; the lines above are pip's", one.name),
                 "It needs a way to PyPI, or to an index that pip's own configuration names (pip config list)."};
  }
  return result<void>();
}

}  // namespace

std::array<extra, 2> const& extras() {
  static constexpr std::array<extra, 2> all{
      {{"snowflake", requirements_snowflake}, {"duckdb", requirements_duckdb}},
  };
  return all;
}

std::vector<package> packages_of(extra const& one, std::string const& venv) {
  auto const looked = look_at_venv(venv);
  std::vector<package> list;
  for (auto rest = one.requirements; !rest.empty();) {
    auto const line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    auto const equals = line.find("==");
    if (line.starts_with('#') || equals == std::string_view::npos) continue;
    package made{.name = std::string(line.substr(0, equals))};
    made.version = line.substr(equals + 2, line.find(' ') - equals - 2);
    if (looked && *looked) made.installed = installed_version((*looked)->packages, made.name);
    list.push_back(std::move(made));
  }
  return list;
}

result<void> set_up(std::string const& venv, std::vector<extra> const& wanted) {
  if (auto made = make_venv(venv); !made) return made;
  for (auto const& one : wanted) {
    if (auto installed = install(venv, one); !installed) return installed;
  }
  return result<void>();
}

}  // namespace etl::python
