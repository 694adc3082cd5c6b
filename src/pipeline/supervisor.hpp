#pragma once

#include <vector>

#include "config/pipeline_config.hpp"
#include "pipeline/progress.hpp"

namespace etl::pipeline {

struct run_options {
  bool once = false;                  // stop when everything committed before the start is durable
  unsigned threads = 0;               // cores to use; 0: every one this process may run on
  progress_sink* progress = nullptr;  // where the copies show how far they are; outlives run()
};

// Runs every pipeline, each on its home core, until SIGTERM or SIGINT (or, with `once`, until all are done). One that
// fails is restarted with backoff, and touches no other; one that only its user can mend stays down. Blocks.
// Returns the exit code: 0 when every pipeline ended well, 1 otherwise.
int run(std::vector<config::pipeline_config> pipelines, run_options const& options);

}  // namespace etl::pipeline
