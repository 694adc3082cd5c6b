#include "cli/completions.hpp"

#include <fmt/format.h>

#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.hpp"

namespace etl::cli {
namespace {

struct option {
  std::vector<std::string> names;  // "-h", "--help"
  std::string description;
  std::string value;  // what its value is called; empty for a flag
  std::vector<std::string> choices;
};

struct command {
  std::string name;
  std::string description;
  std::vector<option> options;
  bool takes_files = false;
  std::vector<std::string> words;  // that its arguments can be
};

command describe(CLI::App const& app) {
  command result{.name = app.get_name(), .description = app.get_description()};
  for (auto const* one : app.get_options()) {
    if (one->get_positional()) {
      result.takes_files |= value_name(*one) == "FILE";
      for (auto& word : choices_of(*one)) result.words.push_back(std::move(word));
      continue;
    }
    option described{.description = one->get_description(), .value = value_name(*one), .choices = choices_of(*one)};
    for (auto const& name : one->get_snames()) described.names.push_back("-" + name);
    for (auto const& name : one->get_lnames()) described.names.push_back("--" + name);
    result.options.push_back(std::move(described));
  }
  return result;
}

std::vector<command> commands_of(CLI::App const& parser) {
  std::vector<command> list;
  for (auto const* one : parser.get_subcommands([](CLI::App const*) { return true; })) list.push_back(describe(*one));
  return list;
}

std::vector<std::string> names_of(std::vector<option> const& options) {
  std::vector<std::string> names;
  for (auto const& one : options) names.insert(names.end(), one.names.begin(), one.names.end());
  return names;
}

// A text inside single quotes: each `bad` character is replaced as the shell at hand needs it.
std::string escaped(std::string_view text, std::string_view bad, std::string_view put_before) {
  std::string out;
  for (char const c : text) {
    if (bad.find(c) != std::string_view::npos) out += put_before;
    out += c;
  }
  return out;
}

// In zsh's specifications brackets and colons mean something; descriptions hold no single quotes (a test sees to it).
std::string for_zsh(std::string_view text) { return escaped(text, "[]:\\", "\\"); }

std::string zsh_option(option const& one) {
  auto text = one.names.size() == 1
                  ? fmt::format("'{}", one.names.front())
                  : fmt::format("'({})'{{{}}}'", fmt::join(one.names, " "), fmt::join(one.names, ","));
  if (!one.value.empty() && one.names.size() == 1) text += '=';
  text += fmt::format("[{}]", for_zsh(one.description));
  if (!one.choices.empty()) {
    text += fmt::format(":{}:({})", one.value, fmt::join(one.choices, " "));
  } else if (!one.value.empty()) {
    text += fmt::format(":{}:{}", one.value, one.value == "FILE" ? "_files" : one.value == "DIR" ? "_files -/" : " ");
  }
  return text + "'";
}

}  // namespace

std::string bash_completion(CLI::App const& parser) {
  auto const top = describe(parser);
  auto const commands = commands_of(parser);
  std::vector<std::string> names;
  for (auto const& one : commands) names.push_back(one.name);

  // "--option=value" arrives as three words, since bash breaks words at "=".
  std::string text = fmt::format(R"(# bash completion for {0}

_etl_stream() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command= word
  [[ $current == = ]] && current=
  [[ $previous == = ]] && previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
      {1}) command=$word; break ;;
    esac
  done
  COMPREPLY=()
  case $command:$previous in
)",
                                 top.name, fmt::join(names, " | "));
  auto out = std::back_inserter(text);
  for (auto const& one : commands) {
    for (auto const& each : one.options) {
      if (each.value.empty()) continue;
      fmt::format_to(out, "    {}:{})\n", one.name, fmt::join(each.names, fmt::format(" | {}:", one.name)));
      if (!each.choices.empty()) {
        fmt::format_to(out, "      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n",
                       fmt::join(each.choices, " "));
      }
      text += "      return ;;\n";
    }
  }
  text += "  esac\n  case $command:$current in\n";
  auto const branch = [&](std::string_view pattern, std::vector<std::string> const& words) {
    fmt::format_to(out, "    {}) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\") ;;\n", pattern,
                   fmt::join(words, " "));
  };
  branch(":-*", names_of(top.options));
  branch(":*", names);
  for (auto const& one : commands) {
    branch(one.name + ":-*", names_of(one.options));
    if (!one.words.empty()) branch(one.name + ":*", one.words);
    if (!one.takes_files) continue;
    fmt::format_to(
        out,
        "    {}:*)\n"
        "      mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- \"$current\"; compgen -d -- \"$current\")\n"
        "      compopt -o filenames 2> /dev/null ;;\n",
        one.name);
  }
  fmt::format_to(out, "  esac\n}}\n\ncomplete -F _etl_stream {}\n", top.name);
  return text;
}

std::string zsh_completion(CLI::App const& parser) {
  auto const top = describe(parser);
  auto const commands = commands_of(parser);
  std::string text = fmt::format(
      "#compdef {0}\n\n_{0}() {{\n  local context state state_descr line\n  typeset -A opt_args\n  _arguments -C \\\n",
      top.name);
  auto out = std::back_inserter(text);
  for (auto const& one : top.options) fmt::format_to(out, "    {} \\\n", zsh_option(one));
  text +=
      "    '1:command:->command' \\\n    '*::argument:->argument'\n  case $state in\n    command)\n      local -a "
      "commands=(\n";
  for (auto const& one : commands) fmt::format_to(out, "        '{}:{}'\n", one.name, for_zsh(one.description));
  text += "      )\n      _describe command commands ;;\n    argument)\n      case $words[1] in\n";
  for (auto const& one : commands) {
    fmt::format_to(out, "        {})\n          _arguments", one.name);
    for (auto const& each : one.options) fmt::format_to(out, " \\\n            {}", zsh_option(each));
    if (!one.words.empty()) fmt::format_to(out, " \\\n            '*:argument:({})'", fmt::join(one.words, " "));
    if (one.takes_files) text += " \\\n            '*:FILE:_files -g \"*.toml\"'";
    text += " ;;\n";
  }
  fmt::format_to(out, "      esac ;;\n  esac\n}}\n\n_{} \"$@\"\n", top.name);
  return text;
}

std::string fish_completion(CLI::App const& parser) {
  auto const top = describe(parser);
  std::string text = fmt::format("# fish completion for {0}\n\ncomplete -c {0} -f\n", top.name);
  auto out = std::back_inserter(text);
  auto const add = [&](std::string_view condition, option const& one) {
    fmt::format_to(out, "complete -c {} -n '{}'", top.name, condition);
    for (auto const& name : one.names) {
      bool const is_long = name.starts_with("--");
      fmt::format_to(out, " {} {}", is_long ? "-l" : "-s", name.substr(is_long ? 2 : 1));
    }
    if (!one.choices.empty()) {
      fmt::format_to(out, " -x -a '{}'", fmt::join(one.choices, " "));
    } else if (!one.value.empty()) {
      text += one.value == "FILE" || one.value == "DIR" ? " -r -F" : " -x";
    }
    fmt::format_to(out, " -d '{}'\n", escaped(one.description, "\\'", "\\"));
  };
  for (auto const& one : top.options) add("__fish_use_subcommand", one);
  for (auto const& one : commands_of(parser)) {
    fmt::format_to(out, "complete -c {} -n __fish_use_subcommand -a {} -d '{}'\n", top.name, one.name,
                   escaped(one.description, "\\'", "\\"));
    auto const chosen = "__fish_seen_subcommand_from " + one.name;
    for (auto const& each : one.options) add(chosen, each);
    if (!one.words.empty()) {
      fmt::format_to(out, "complete -c {} -n '{}' -a '{}'\n", top.name, chosen, fmt::join(one.words, " "));
    }
    if (one.takes_files) {
      fmt::format_to(out, "complete -c {} -n '{}' -a '(__fish_complete_suffix .toml)'\n", top.name, chosen);
    }
  }
  return text;
}

}  // namespace etl::cli
