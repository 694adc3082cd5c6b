#include "cli/commands.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <string_view>

#include "cli/version.hpp"
#include "config/nearest.hpp"
#include "config/quantity.hpp"

namespace etl::cli {
namespace {

constexpr std::array level_names = {"debug", "info", "warning", "error", "off"};
constexpr std::array format_names = {"auto", "text", "json"};
constexpr std::array python_actions = {"setup", "check"};
constexpr std::array python_extras = {"snowflake", "duckdb"};

template <class Enum, class Names>
Enum as_enum(Names const& names, std::string_view name) {
  return static_cast<Enum>(std::ranges::find(names, name) - names.begin());
}

template <class Names>
CLI::IsMember one_of(Names const& names) {
  return CLI::IsMember(std::vector<std::string>(names.begin(), names.end()));
}

// Writes help as the manual pages read: short, without brackets and types that mean nothing to a user.
class help_format : public CLI::FormatterBase {
 public:
  std::string make_help(CLI::App const* app, std::string, CLI::AppFormatMode) const override {
    auto const* parent = app->get_parent();
    auto const full_name = parent ? parent->get_name() + " " + app->get_name() : app->get_name();
    auto const commands = app->get_subcommands([](CLI::App const*) { return true; });

    std::string usage;
    std::vector<std::pair<std::string, std::string>> rows;
    for (auto const* option : app->get_options()) {
      if (option->get_positional()) {
        auto const name = option->get_name() + (option->get_expected_max() > 1 ? "..." : "");
        usage += option->get_required() ? " " + name : " [" + name + "]";
        continue;
      }
      auto const choices = choices_of(*option);
      auto const value = value_name(*option);
      auto description = option->get_description();
      if (!choices.empty()) description += fmt::format(": {}", fmt::join(choices, ", "));
      rows.emplace_back(option->get_name(false, true) + (value.empty() ? "" : " " + value), description);
    }

    auto text = fmt::format("{}\n\nUsage: {}{}{} [OPTION...]\n", app->get_description(), full_name,
                            commands.empty() ? "" : " COMMAND", usage);
    auto const section = [&](std::string_view title, std::vector<std::pair<std::string, std::string>> const& list) {
      text += fmt::format("\n{}:\n", title);
      for (auto [name, description] : list) {
        if (auto const comma = name.find(','); comma != std::string::npos) name.insert(comma + 1, " ");
        text += fmt::format("  {:<19} {}\n", name, description);
      }
    };
    if (!commands.empty()) {
      std::vector<std::pair<std::string, std::string>> list;
      for (auto const* command : commands) list.emplace_back(command->get_name(), command->get_description());
      section("Commands", list);
    }
    section("Options", rows);
    return text + "\n" + app->get_footer() + "\n";
  }
};

void add_run(CLI::App& app, run_arguments& into) {
  auto& run = *app.add_subcommand("run", "Copies tables, then keeps the copies current");
  run.add_option("FILE", into.files, "Configuration of a pipeline")->required()->type_name("FILE");
  run.add_flag("--once", into.once, "Stop when everything committed before the start is durable");
  run.add_option("--threads", into.threads, "Cores to use (all)")->type_name("N")->check(CLI::Range(1U, 1024U));
  run.add_flag("--quiet", into.quiet, "Show no progress, and log warnings and errors only");
  run.add_option_function<std::string>(
         "--log-level", [&into](std::string const& name) { into.log_level = as_enum<log::level>(level_names, name); },
         "Least level to log")
      ->type_name("LEVEL")
      ->check(one_of(level_names));
  run.add_option_function<std::string>(
         "--log-format",
         [&into](std::string const& name) { into.log_format = as_enum<log::format>(format_names, name); },
         "Shape of the log")
      ->type_name("FORMAT")
      ->check(one_of(format_names));
  run.footer(
      "Examples:\n"
      "  etl-stream run pipeline.toml           until Ctrl-C, which stops cleanly\n"
      "  etl-stream run --once pipeline.toml    for cron and tests\n\n"
      "Manual: etl-stream-run(1), etl-stream.toml(5)");
}

void add_size(CLI::App& command, char const* name, std::int64_t& into, char const* description) {
  command
      .add_option_function<std::string>(
          name,
          [&into, name](std::string const& text) {
            auto const size = config::parse_size(text);
            if (!size) throw CLI::ValidationError(name, text + " is no size, such as 500MB or 2GiB");
            into = *size;
          },
          description)
      ->type_name("SIZE");
}

void add_lag(CLI::App& app, lag_arguments& into) {
  auto& lag = *app.add_subcommand("lag", "Tells what replication slots hold back on their servers");
  auto* const files = lag.add_option("FILE", into.files, "Configuration of a pipeline")->type_name("FILE");
  auto* const source = lag.add_option("--source", into.source, "A server, instead of files")->type_name("URL");
  source->excludes(files);
  lag.add_flag("--json", into.json, "Print JSON, with exact numbers");
  lag.add_option("--watch", into.watch, "Look again every so many seconds, until Ctrl-C (2)")
      ->type_name("SECONDS")
      ->expected(0, 1)
      ->default_str("2")
      ->check(CLI::Range(0.1, 86'400.0));
  add_size(lag, "--warning", into.warning, "Exit with 1 when a slot holds back this much (3000MB)");
  add_size(lag, "--danger", into.danger, "Exit with 2 when a slot holds back this much (6000MB)");
  lag.footer(
      "Exit status: 0 ok, 1 warning, 2 danger, 3 unknown\n\n"
      "Examples:\n"
      "  etl-stream lag pipeline.toml\n"
      "  etl-stream lag --source postgres://monitor@db1/ --watch 5\n\n"
      "Manual: etl-stream-lag(1)");
}

void add_python(CLI::App& app, python_arguments& into) {
  auto& python = *app.add_subcommand("python", "Installs the Python packages that some destinations need");
  python.add_option("ACTION", into.action, "What to do")
      ->required()
      ->type_name("ACTION")
      ->check(one_of(python_actions));
  python.add_option("EXTRA", into.extras, "Whose packages (all)")->type_name("EXTRA")->check(one_of(python_extras));
  python.add_option("--venv", into.venv, "The virtual environment to use")->type_name("DIR");
  python.footer(
      "Actions:\n"
      "  setup               make the environment, install pinned packages\n"
      "  check               say what is installed, and whether it fits\n"
      "Extras: snowflake, duckdb\n\n"
      "Example:\n"
      "  etl-stream python setup duckdb\n\n"
      "Manual: etl-stream-python(1)");
}

// The option or command that does not exist, and the one that may be meant. Empty when all exist.
std::string unknown_word(CLI::App const& parser, std::vector<std::string> const& line) {
  auto const* app = &parser;
  auto const told = [](std::string_view what, std::string_view word, std::optional<std::string_view> meant) {
    auto text = fmt::format("there is no {} {}", what, word);
    if (meant) text += fmt::format("; did you mean {}?", *meant);
    return text;
  };
  for (auto const& word : line) {
    if (word == "--") break;
    if (word.starts_with('-') && word != "-") {
      auto const name = word.substr(0, word.find('='));
      if (app->get_option_no_throw(name) != nullptr) continue;
      std::vector<std::string> known;
      for (auto const* option : app->get_options()) {
        for (auto const& long_name : option->get_lnames()) known.push_back("--" + long_name);
      }
      return told("option", name, config::nearest(name, std::vector<std::string_view>(known.begin(), known.end())));
    }
    if (app != &parser) continue;
    std::vector<std::string_view> known;
    CLI::App const* found = nullptr;
    for (auto const* command : parser.get_subcommands([](CLI::App const*) { return true; })) {
      known.push_back(command->get_name());
      if (command->get_name() == word) found = command;
    }
    if (found == nullptr) return told("command", word, config::nearest(word, known));
    app = found;
  }
  return "";
}

}  // namespace

std::vector<std::string> choices_of(CLI::Option const& option) {
  auto const type = option.get_type_name();  // CLI11 adds a membership check's list to it, as in "LEVEL:{info,error}"
  auto const open = type.find('{');
  auto const close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

std::string value_name(CLI::Option const& option) {
  if (option.get_expected_max() == 0) return "";
  auto const type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::unique_ptr<CLI::App> make_parser(arguments& into) {
  auto app = std::make_unique<CLI::App>("Keeps copies of PostgreSQL tables current, exactly once", "etl-stream");
  app->formatter(std::make_shared<help_format>());
  app->set_help_flag("-h,--help", "Print this help");
  app->set_version_flag("--version", version_text, "Print the versions of the program and its libraries");
  app->require_subcommand(1);
  add_run(*app, into.run);
  add_lag(*app, into.lag);
  add_python(*app, into.python);
  app->footer(
      "Example:\n"
      "  etl-stream run pipeline.toml\n\n"
      "etl-stream COMMAND --help tells more.\nManual: etl-stream(1), etl-stream.toml(5)");
  return app;
}

parsed_line parse_line(std::vector<std::string> line, arguments& into) {
  auto const app = make_parser(into);
  try {
    app->parse(std::vector<std::string>(line.rbegin(), line.rend()));
    return {.command = app->get_subcommands().front()->get_name()};
  } catch (CLI::CallForHelp const&) {
    auto const chosen = app->get_subcommands();
    return {.output = (chosen.empty() ? app.get() : chosen.front())->help()};
  } catch (CLI::CallForVersion const&) {
    return {.output = version_text()};
  } catch (CLI::ParseError const& failure) {
    if (line.empty()) return {.complaint = app->help(), .exit_code = exit_usage};
    auto const unknown = unknown_word(*app, line);
    auto const chosen = app->get_subcommands();
    bool const is_check = !chosen.empty() && chosen.front()->get_name() == "lag";
    auto const name = chosen.empty() ? "etl-stream" : "etl-stream " + chosen.front()->get_name();
    return {.complaint = fmt::format("etl-stream: {}\n{} --help tells what there is\n",
                                     unknown.empty() ? failure.what() : unknown, name),
            .exit_code = is_check ? exit_unknown : exit_usage};
  }
}

}  // namespace etl::cli
