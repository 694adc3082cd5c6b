#include "state/lock_file.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace etl::state {

result<lock_file> lock_file::take(std::string_view code, std::string const& path, error busy) {
  auto opened = open_file(code, path, O_RDWR | O_CREAT);
  if (!opened) return fail(std::move(opened));
  if (::flock(opened->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return file_error(code, "locking", path, errno);
    auto holder = read_all(code, *opened, path);
    if (!holder) return fail(std::move(holder));
    // Empty while the other process is between taking the lock and writing who it is.
    busy.message += holder->empty() ? ", in another process" : ", in " + holder->substr(0, holder->find('\n'));
    return busy;
  }
  auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  auto const who = fmt::format("process {}, since {:%FT%TZ}\n", ::getpid(), fmt::gmtime(now));
  if (::ftruncate(opened->get(), 0) != 0) return file_error(code, "writing", path, errno);
  if (auto written = write_all(code, *opened, who, path); !written) return fail(std::move(written));
  return lock_file(std::move(*opened));
}

}  // namespace etl::state
