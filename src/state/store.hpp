#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/batch.hpp"
#include "runtime/blocking_worker.hpp"

namespace etl::state {

namespace asio = boost::asio;

// Small documents of one pipeline that survive restarts. Lives on the pipeline's home core. Calls may overlap; they
// take effect one after another, in the order in which they were made. None is cancellable. close() comes last.
//
// Errors of all calls: `state.read_only`, `state.damaged` (both config), `state.disk_full`, `state.failed` (both
// retry).
class store {
 public:
  virtual ~store() = default;
  // Nothing when there is no such document.
  virtual asio::awaitable<result<std::optional<std::string>>> get(std::string key) = 0;
  // All or none; durable on return. An empty value removes the document.
  virtual asio::awaitable<result<void>> put(std::vector<model::document> documents) = 0;
  // Ordered by key.
  virtual asio::awaitable<result<std::vector<model::document>>> all() = 0;
  // Lets go of the file and of the lock.
  virtual asio::awaitable<void> close() = 0;
};

// Opens the pipeline's part of the store at `url` and locks it against other processes: "sqlite:<absolute path>". The
// file and its directories are made where they are missing, for the user alone. `worker` must outlive the store.
//
// Errors besides those of the store (all config): `state.url`, `state.open` (no permission, not a directory),
// `state.foreign` (another program's file), `state.newer` (written by a later version of this program), `state.in_use`
// (another process runs this pipeline; the message names it).
asio::awaitable<result<std::unique_ptr<store>>> open_store(std::string url, std::string pipeline,
                                                           runtime::blocking_worker& worker);

}  // namespace etl::state
