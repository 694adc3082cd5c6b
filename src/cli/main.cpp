#include <cstdio>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/lag.hpp"
#include "cli/python.hpp"
#include "cli/run.hpp"

int main(int count, char** words) {
  using namespace etl::cli;
  arguments given;
  auto const line = parse_line(std::vector<std::string>(words + (count > 0 ? 1 : 0), words + count), given);
  if (line.command == "run") return run(given.run);
  if (line.command == "lag") return lag(given.lag);
  if (line.command == "python") return python(given.python);
  std::fputs(line.complaint.c_str(), stderr);
  if (std::fputs(line.output.c_str(), stdout) == EOF || std::fflush(stdout) != 0) return exit_failed;
  return line.exit_code;
}
