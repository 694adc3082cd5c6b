#include "cli/commands.hpp"

#include <catch2/catch.hpp>

using namespace etl;
using namespace etl::cli;
using Catch::Contains;

namespace {
using words = std::vector<std::string>;
}

TEST_CASE("run takes its files and options in any order") {
  arguments given;
  auto const line = parse_line(
      {"run", "a.toml", "--once", "--threads", "4", "--log-level=debug", "b.toml", "--log-format", "json", "--quiet"},
      given);
  CHECK(line.complaint.empty());
  CHECK(line.command == "run");
  CHECK(given.run.files == words{"a.toml", "b.toml"});
  CHECK(given.run.once);
  CHECK(given.run.threads == 4);
  CHECK(given.run.quiet);
  CHECK(given.run.log_level == log::level::debug);
  CHECK(given.run.log_format == log::format::json);
}

TEST_CASE("a file's name may look like an option") {
  arguments given;
  CHECK(parse_line({"run", "--once", "--", "--odd.toml"}, given).command == "run");
  CHECK(given.run.files == words{"--odd.toml"});
}

TEST_CASE("without options run has defaults") {
  arguments given;
  CHECK(parse_line({"run", "a.toml"}, given).command == "run");
  CHECK_FALSE(given.run.once);
  CHECK(given.run.threads == 0);
  CHECK_FALSE(given.run.quiet);
  CHECK_FALSE(given.run.log_level);
  CHECK(given.run.log_format == log::format::automatic);
}

TEST_CASE("lag takes files or a server, sizes, and a pace") {
  arguments given;
  CHECK(parse_line({"lag", "a.toml", "--warning", "1GB", "--danger=2GiB", "--json", "--watch"}, given).command ==
        "lag");
  CHECK(given.lag.files == words{"a.toml"});
  CHECK(given.lag.warning == 1'000'000'000);
  CHECK(given.lag.danger == std::int64_t{2} << 30);
  CHECK(given.lag.json);
  CHECK(given.lag.watch == 2.0);
}

TEST_CASE("python takes an action, extras and an environment") {
  arguments given;
  CHECK(parse_line({"python", "setup", "duckdb", "--venv", "/opt/venv"}, given).command == "python");
  CHECK(given.python.action == "setup");
  CHECK(given.python.extras == words{"duckdb"});
  CHECK(given.python.venv == "/opt/venv");
}

TEST_CASE("names of levels and formats are numbered as their enums are") {
  struct row {
    std::string name;
    log::level level;
  };
  auto const& [name, level] = GENERATE(values<row>({{"debug", log::level::debug},
                                                    {"info", log::level::info},
                                                    {"warning", log::level::warning},
                                                    {"error", log::level::error},
                                                    {"off", log::level::off}}));
  arguments given;
  REQUIRE(parse_line({"run", "a", "--log-level", name}, given).command == "run");
  CHECK(given.run.log_level == level);

  REQUIRE(parse_line({"run", "a", "--log-format", "auto"}, given).command == "run");
  CHECK(given.run.log_format == log::format::automatic);
  REQUIRE(parse_line({"run", "a", "--log-format", "text"}, given).command == "run");
  CHECK(given.run.log_format == log::format::text);
}

TEST_CASE("what is wrong with a line is told, with what may be meant, and ends with 2") {
  struct row {
    words line;
    std::string complaint;
  };
  auto const& [line, complaint] = GENERATE(values<row>({
      {{"rnu", "a.toml"}, "there is no command rnu; did you mean run?"},
      {{"pipeline.toml"}, "there is no command pipeline.toml\n"},
      {{"--versoin"}, "there is no option --versoin; did you mean --version?"},
      {{"run", "--onec", "a.toml"}, "there is no option --onec; did you mean --once?"},
      {{"run", "--onec"}, "there is no option --onec; did you mean --once?"},
      {{"run", "a.toml", "--log_level=info"}, "there is no option --log_level; did you mean --log-level?"},
      {{"run", "a.toml", "-x"}, "there is no option -x"},
      {{"run"}, "FILE is required"},
      {{"run", "--once"}, "FILE is required"},
      {{"run", "a.toml", "--threads", "0"}, "--threads"},
      {{"run", "a.toml", "--threads", "many"}, "--threads"},
      {{"run", "a.toml", "--threads", "-1"}, "there is no option -1"},
      {{"run", "a.toml", "--threads"}, "--threads"},
      {{"run", "a.toml", "--log-level", "loud"}, "--log-level"},
      {{"run", "a.toml", "--log-level", "INFO"}, "--log-level"},
      {{"run", "a.toml", "--once=maybe"}, "--once"},
      {{"python"}, "ACTION is required"},
      {{"python", "remove"}, "ACTION"},
      {{"python", "setup", "mysql"}, "EXTRA"},
      {{}, "Usage: etl-stream COMMAND"},
      {{""}, "there is no command "},
  }));
  CAPTURE(line);
  arguments given;
  auto const parsed = parse_line(line, given);
  CHECK(parsed.command.empty());
  CHECK(parsed.output.empty());
  CHECK(parsed.exit_code == 2);
  CHECK_THAT(parsed.complaint, Contains(complaint));
  CHECK(parsed.complaint.ends_with('\n'));
}

TEST_CASE("help fits a screen, names everything and has an example") {
  arguments given;
  auto const line = GENERATE(words{"--help"}, words{"-h"}, words{"run", "--help"}, words{"run", "-h", "--once"});
  CAPTURE(line);
  auto const parsed = parse_line(line, given);
  CHECK(parsed.exit_code == 0);
  CHECK(parsed.command.empty());
  CHECK(parsed.complaint.empty());
  CHECK_THAT(parsed.output, Contains("Usage: etl-stream"));
  CHECK_THAT(parsed.output, Contains("etl-stream run pipeline.toml"));
  CHECK_THAT(parsed.output, Contains("-h, --help"));
  if (line.front() == "run") {
    for (auto const* name : {"FILE...", "--once ", "--threads N", "--quiet", "--log-level LEVEL", "--log-format FORMAT",
                             "debug, info, warning, error, off"}) {
      CHECK_THAT(parsed.output, Contains(name));
    }
  } else {
    CHECK_THAT(parsed.output, Contains("\n  run "));
  }
  std::size_t lines = 0;
  std::size_t width = 0;
  for (char const c : parsed.output) {
    width = c == '\n' ? 0 : width + 1;
    lines += c == '\n' ? 1 : 0;
    CHECK(width <= 80);
  }
  CHECK(lines <= 24);
}

TEST_CASE("the version names compiler and libraries") {
  arguments given;
  auto const parsed = parse_line({"--version"}, given);
  CHECK(parsed.exit_code == 0);
  CHECK(parsed.output.starts_with("etl-stream "));
  for (auto const* part : {"clang", "Boost 1.", "libpq ", "SQLite 3."}) CHECK_THAT(parsed.output, Contains(part));
}
