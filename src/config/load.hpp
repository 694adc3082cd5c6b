#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/pipeline_config.hpp"

namespace etl::config {

// Something wrong with a file, or (as a warning) unwise in it. Never holds the value of a secret.
struct problem {
  std::string_view code;  // a literal such as "config.unknown_key": stable, documented
  std::string file;
  std::uint32_t line = 0;  // from 1; zero: the file as a whole
  std::uint32_t column = 0;
  std::string message;
  std::string hint;

  // As compilers write it: "pipeline.toml:7:1: unknown key source.tabels", and the hint on an indented line of its own.
  [[nodiscard]] std::string to_text() const;
};

// The environment variables that a file may refer to; nothing where one is not set.
using environment = std::function<std::optional<std::string>(std::string const& name)>;
// This process's. Not while another thread calls setenv.
[[nodiscard]] std::optional<std::string> process_environment(std::string const& name);

struct parsed_file {
  std::optional<pipeline_config> pipeline;  // present exactly when there are no problems
  std::vector<problem> problems;            // every one of them, by line
  std::vector<problem> warnings;
};

// Validates the text of a file (TOML 1.0). `file` names it in messages; paths in it that are relative are taken from
// that file's directory. Reads nothing but the secrets that are kept in files. `exposed`: people other than the owner
// can read the file, so that a password written in it deserves a warning.
[[nodiscard]] parsed_file parse(std::string_view text, std::string const& file, environment const& variables,
                                bool exposed = false);

struct load_outcome {
  std::vector<pipeline_config> pipelines;  // in the order of the files; empty when there are problems
  std::vector<problem> problems;
  std::vector<problem> warnings;
};

// Reads and validates several files, and what must differ between pipelines of one process: names, slots of one
// source, directories of the file destination. Blocks; call it before the first event loop runs.
[[nodiscard]] load_outcome load(std::span<std::string const> files, environment const& variables = process_environment);

}  // namespace etl::config
