#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "config/pipeline_config.hpp"
#include "destination/destination.hpp"

namespace etl::python {
class interpreter;
}

namespace etl::destination {

// What a destination may need of its pipeline.
struct dependencies {
  // Waits for a place among the process's connections, which is kept until the connection is gone. Empty: no limit.
  std::function<asio::awaitable<std::shared_ptr<void>>()> admit;
  // What the source's catalog says now about the types of a relation.
  std::function<asio::awaitable<result<std::vector<model::type_definition>>>(model::relation_ptr)> types_now;
  bool binary = false;  // the source sends values in binary form
  // What a destination wants to know of its pipeline's earlier attempts in this process. Made by the destination that
  // needs it, kept as long as the pipeline.
  std::shared_ptr<void>* memory = nullptr;
  python::interpreter* python = nullptr;  // where needs_python() says so; outlives the destination
};

// Whether the pipeline's destination runs in the process's Python interpreter.
[[nodiscard]] bool needs_python(config::destination_config const& destination);

// What the configuration says of values that the destination cannot write.
[[nodiscard]] encode::unrepresentable_policies policies_of(config::destination_config const& destination);

// The destination that the configuration asks for, not yet open. No error so far: what is wrong shows in open().
result<std::unique_ptr<destination>> make(config::pipeline_config const& pipeline, dependencies around);

}  // namespace etl::destination
