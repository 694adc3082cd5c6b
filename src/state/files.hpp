#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"

// File operations whose outcome has to survive a crash. All of them block: not on a core's thread.
namespace etl::state {

// Owns a file descriptor.
class file_handle {
 public:
  file_handle() = default;
  explicit file_handle(int descriptor) : descriptor_(descriptor) {}
  file_handle(file_handle&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  file_handle& operator=(file_handle&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~file_handle();

  [[nodiscard]] int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

// What `errno` means to the user, as in "writing /var/lib/x: No space left on device". A disk that is full or fails is
// `retry`; what only the user can mend is `config`. `code` is a literal.
[[nodiscard]] error file_error(std::string_view code, std::string_view doing, std::string const& path, int number);

// Every call takes the code of its errors.
// Opens with O_CLOEXEC; new files are for the user alone (0600).
result<file_handle> open_file(std::string_view code, std::string const& path, int flags);
// Makes the directory and those above it where they are missing, for the user alone (0700), durably. Returns whether
// the last one is new.
result<bool> make_directories(std::string_view code, std::string const& path);
// Makes the names in a directory durable: after creating, renaming or removing.
result<void> sync_directory(std::string_view code, std::string const& path);
result<void> sync_file(std::string_view code, file_handle const& file, std::string const& path);
result<void> write_all(std::string_view code, file_handle const& file, std::string_view bytes, std::string const& path);
// Puts a whole file in the place of the one at `path`, if any: after a crash there is the one or the other. Durable.
result<void> replace_file(std::string_view code, std::string const& path, std::string_view content);
// From the current position to the end.
result<std::string> read_all(std::string_view code, file_handle const& file, std::string const& path);

[[nodiscard]] std::string parent_directory(std::string const& path);

}  // namespace etl::state
