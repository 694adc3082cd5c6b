#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"

namespace etl::cli {

// Exit codes that every command shares; scripts rely on them.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;  // the command line or a configuration file is wrong: nothing was done

struct run_arguments {
  std::vector<std::string> files;
  bool once = false;
  unsigned threads = 0;  // 0: one for each core
  bool quiet = false;
  std::optional<log::level> log_level;
  log::format log_format = log::format::automatic;
};

struct python_arguments {
  std::string action;               // "setup" or "check"
  std::vector<std::string> extras;  // empty: all
  std::string venv;                 // empty: the default one
};

// lag is a check for monitoring systems, which know four codes: 0 ok, 1 warning, 2 danger, and this one.
inline constexpr int exit_unknown = 3;

struct lag_arguments {
  std::vector<std::string> files;
  std::string source;  // a connection URL, instead of files
  bool json = false;
  std::optional<double> watch;                // look again every so many seconds
  std::int64_t warning = 3000 * 1'000'000LL;  // bytes of WAL that a slot holds back
  std::int64_t danger = 6000 * 1'000'000LL;
};

// What the command line says, one member a command.
struct arguments {
  run_arguments run;
  lag_arguments lag;
  python_arguments python;
};

// The one description of commands and options: it parses, and help and shell completions are made from it.
// Parsing fills `into`, which must outlive it.
[[nodiscard]] std::unique_ptr<CLI::App> make_parser(arguments& into);

// What a command line came to.
struct parsed_line {
  std::string command;      // to be carried out; empty: there is only text to print
  std::string output;       // for standard output
  std::string complaint;    // for standard error
  int exit_code = exit_ok;  // when there is no command
};

// `line` is without the program's name. Options that do not exist are told with the nearest that does.
[[nodiscard]] parsed_line parse_line(std::vector<std::string> line, arguments& into);

// The texts that an option takes, when they are a fixed few.
[[nodiscard]] std::vector<std::string> choices_of(CLI::Option const& option);
// "N" of --threads N: what its value is called. Empty for a flag.
[[nodiscard]] std::string value_name(CLI::Option const& option);

}  // namespace etl::cli
