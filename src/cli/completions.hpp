#pragma once

#include <CLI/App.hpp>
#include <string>

namespace etl::cli {

// Completion scripts for the program that `parser` describes: its commands, their options and the values that an option
// takes; for a FILE, names that end in .toml. To be installed, or read by the shell from a start-up file.
[[nodiscard]] std::string bash_completion(CLI::App const& parser);
[[nodiscard]] std::string zsh_completion(CLI::App const& parser);
[[nodiscard]] std::string fish_completion(CLI::App const& parser);

}  // namespace etl::cli
