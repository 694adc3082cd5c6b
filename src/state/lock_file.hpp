#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "state/files.hpp"

namespace etl::state {

// Holds a file's lock (flock(2)) until destruction, or until the process is gone, however it goes. The file itself
// stays: it says who holds the lock, or held it last. Blocks only for as long as the file system does.
class lock_file {
 public:
  // `code` is for failures of the file system; `busy` (its code, and a sentence about what is being kept apart, such as
  // "the pipeline shop runs already") for a lock that another process holds: the message goes on with who that is.
  static result<lock_file> take(std::string_view code, std::string const& path, error busy);

 private:
  explicit lock_file(file_handle file) : file_(std::move(file)) {}
  file_handle file_;
};

}  // namespace etl::state
