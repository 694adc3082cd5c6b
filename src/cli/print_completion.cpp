// Used by the build alone: prints the completion script of the shell that is named.

#include <cstdio>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/completions.hpp"

int main(int count, char** words) {
  etl::cli::arguments ignored;
  auto const parser = etl::cli::make_parser(ignored);
  std::string_view const shell = count == 2 ? words[1] : "";
  std::string const script = shell == "bash"   ? etl::cli::bash_completion(*parser)
                             : shell == "zsh"  ? etl::cli::zsh_completion(*parser)
                             : shell == "fish" ? etl::cli::fish_completion(*parser)
                                               : "";
  if (script.empty() || std::fputs(script.c_str(), stdout) == EOF || std::fflush(stdout) != 0) return 2;
  return 0;
}
