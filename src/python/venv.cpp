#include "python/venv.hpp"

#include <fmt/format.h>
#include <patchlevel.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace etl::python {
namespace {

std::string trimmed(std::string const& text) {
  auto const first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::string language_version() { return fmt::format("{}.{}", PY_MAJOR_VERSION, PY_MINOR_VERSION); }

std::string default_venv() {
  if (char const* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') {
    return std::string(data) + "/etl-stream/venv";
  }
  char const* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? "" : std::string(home) + "/.local/share/etl-stream/venv";
}

result<std::optional<venv_facts>> look_at_venv(std::string const& path) {
  auto const settings_path = path + "/pyvenv.cfg";
  std::error_code failed;
  if (!std::filesystem::exists(settings_path, failed) && !failed) return std::optional<venv_facts>();
  std::ifstream file(settings_path);
  if (!file) {
    return error{severity::config, "python.venv", fmt::format("{} cannot be read", settings_path),
                 "Let this user read the virtual environment, or name another as [python] venv."};
  }
  std::map<std::string, std::string> settings;
  for (std::string line; std::getline(file, line);) {
    auto const equals = line.find('=');
    if (equals != std::string::npos) settings[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
  }
  // "version" is what the standard library's venv writes, "version_info" what virtualenv does.
  auto const version = settings.contains("version") ? settings["version"] : settings["version_info"];
  auto const language = language_version();
  if (version != language && !version.starts_with(language + ".")) {
    return error{severity::config, "python.venv",
                 fmt::format("the virtual environment {} is one of Python {}, and this program runs Python {}", path,
                             version.empty() ? "(unknown version)" : version, language),
                 fmt::format("Make it again: etl-stream python setup --venv {}", path)};
  }
  return std::optional(venv_facts{.packages = fmt::format("{}/lib/python{}/site-packages", path, language),
                                  .system_packages = settings["include-system-site-packages"] == "true"});
}

}  // namespace etl::python
