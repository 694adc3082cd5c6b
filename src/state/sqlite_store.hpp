#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "model/batch.hpp"
#include "state/lock_file.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace etl::state {

// The SQLite file behind a store, as calls that block: from one thread at a time. SQLite's WAL with synchronous=FULL: a
// put() survives a power failure. Several pipelines may share a file; each has documents and a lock of its own.
class sqlite_file {
 public:
  static result<sqlite_file> open(std::string path, std::string pipeline);
  result<std::optional<std::string>> get(std::string_view key);
  result<void> put(std::vector<model::document> const& documents);
  result<std::vector<model::document>> all();

 private:
  struct closer {
    void operator()(sqlite3* database) const;
    void operator()(sqlite3_stmt* statement) const;
  };
  using statement = std::unique_ptr<sqlite3_stmt, closer>;

  sqlite_file(lock_file lock, std::string path, std::string pipeline)
      : lock_(std::move(lock)), path_(std::move(path)), pipeline_(std::move(pipeline)) {}
  result<void> prepare_schema();
  result<void> run(char const* sql);
  // With the pipeline's name as its first parameter.
  result<statement> prepare(char const* sql);
  // True: there is a row.
  result<bool> step(statement const& running);
  [[nodiscard]] error failure(int code) const;

  lock_file lock_;
  std::string path_;
  std::string pipeline_;
  std::unique_ptr<sqlite3, closer> database_;
};

}  // namespace etl::state
