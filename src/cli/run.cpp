#include "cli/run.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/progress.hpp"
#include "config/load.hpp"
#include "pipeline/supervisor.hpp"

namespace etl::cli {
namespace {

void tell(config::problem const& problem, log::level level, bool as_log) {
  if (as_log) {
    log::write(level, problem.message,
               {{"code", problem.code},
                {"file", problem.file},
                {"line", std::int64_t{problem.line}},
                {"column", std::int64_t{problem.column}},
                {"hint", problem.hint}});
  } else if (level == log::level::error || log::enabled(level)) {
    std::fprintf(stderr, "%s%s\n", level == log::level::warning ? "warning: " : "", problem.to_text().c_str());
  }
}

bool writes_rows_to_terminal(config::pipeline_config const& pipeline) {
  return pipeline.destination.file.path == "-" && ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace

int run(run_arguments const& arguments) {
  auto const level = arguments.log_level.value_or(arguments.quiet ? log::level::warning : log::level::info);
  log::set_up(level, arguments.log_format);

  // A person reads these as a compiler's messages; only who asked for JSON gets them as log lines.
  bool const as_log = arguments.log_format == log::format::json;
  auto loaded = config::load(arguments.files);
  for (auto const& problem : loaded.problems) tell(problem, log::level::error, as_log);
  for (auto const& warning : loaded.warnings) tell(warning, log::level::warning, as_log);
  if (!loaded.problems.empty()) return exit_usage;

  pipeline::run_options options{.once = arguments.once, .threads = arguments.threads};
  if (arguments.quiet) return pipeline::run(std::move(loaded.pipelines), options);

  bool const plain = as_log || std::ranges::any_of(loaded.pipelines, writes_rows_to_terminal);
  auto const progress = make_progress(plain);
  options.progress = progress.get();
  log::give_lines_to(dynamic_cast<log::line_taker*>(progress.get()));
  auto const code = pipeline::run(std::move(loaded.pipelines), options);
  log::give_lines_to(nullptr);
  return code;
}

}  // namespace etl::cli
