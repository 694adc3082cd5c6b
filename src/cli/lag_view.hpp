#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "monitor/slots.hpp"

// Pure text: what `etl-stream lag` prints.
namespace etl::cli {

// What was found at one server.
struct lag_report {
  std::string source;             // what the user calls it: pipelines' names, or a URL without its password
  std::vector<std::string> ours;  // slots of the pipelines asked about
  std::optional<monitor::server_state> state;
  std::optional<error> failure;  // instead of a state
};

// The worst of all slots of all servers as an exit code; a server that could not be looked at is worse than that.
[[nodiscard]] int lag_exit_code(std::vector<lag_report> const& reports, monitor::thresholds const& limits);

// A table a server. `colours`: by ANSI escapes, the terminal's own.
[[nodiscard]] std::string lag_text(std::vector<lag_report> const& reports, monitor::thresholds const& limits,
                                   bool colours);
// One JSON object and a line feed.
[[nodiscard]] std::string lag_json(std::vector<lag_report> const& reports, monitor::thresholds const& limits);

}  // namespace etl::cli
