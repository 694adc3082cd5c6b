#pragma once

#include <boost/json/array.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "model/batch.hpp"
#include "state/files.hpp"

namespace etl::destination::file {

// The append-only list of what exists (README.md has its format). Blocks; one thread at a time. After a failed append()
// it must be opened again.
class manifest {
 public:
  // Every `complete_every` lines one has all documents, so that opening need not read further back.
  static constexpr unsigned complete_every = 256;

  // Makes the file where it is missing, and cuts off what a crash has left of an append. Errors: `destination.file`,
  // and `destination.manifest_damaged` for lines that are not of this format.
  static result<manifest> open(std::string path);

  // Of the last line.
  [[nodiscard]] position durable() const { return durable_; }
  // By key, as of the last line.
  [[nodiscard]] std::map<std::string, std::string> const& documents() const { return documents_; }

  // One line: durable on return, or not there after the next open().
  result<void> append(position durable, boost::json::array steps, std::vector<model::document> const& changed);

 private:
  explicit manifest(std::string path) : path_(std::move(path)) {}
  result<void> recover();
  result<void> cut(std::uint64_t size);
  [[nodiscard]] error damaged() const;

  std::string path_;
  state::file_handle file_;
  position durable_{};
  std::map<std::string, std::string> documents_;
  unsigned since_complete_ = complete_every;  // lines from the last complete one on
};

}  // namespace etl::destination::file
