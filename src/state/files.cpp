#include "state/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace etl::state {

file_handle::~file_handle() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

error file_error(std::string_view code, std::string_view doing, std::string const& path, int number) {
  error failure{severity::config, code, fmt::format("{} {}: {}", doing, path, std::generic_category().message(number))};
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      failure.kind = severity::retry;
      failure.hint = "Make room there; nothing is lost meanwhile, but PostgreSQL keeps WAL for as long as this lasts.";
      break;
    case EIO:
    case ENFILE:
    case EMFILE:
    case ENOMEM:
      failure.kind = severity::retry;
      break;
    case EROFS:
      failure.hint = "The file system is read-only: mount it for writing, or choose another place.";
      break;
    case EACCES:
    case EPERM:
      failure.hint = "The user that runs this process needs permission to read and write there.";
      break;
    default:
      break;
  }
  return failure;
}

result<file_handle> open_file(std::string_view code, std::string const& path, int flags) {
  int const descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (descriptor < 0) return file_error(code, "opening", path, errno);
  return file_handle(descriptor);
}

std::string parent_directory(std::string const& path) {
  auto const slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

result<bool> make_directories(std::string_view code, std::string const& path) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    if (auto synced = sync_directory(code, parent_directory(path)); !synced) return fail(std::move(synced));
    return true;
  }
  int const number = errno;
  if (number == EEXIST) {
    struct stat facts{};
    if (::stat(path.c_str(), &facts) == 0 && !S_ISDIR(facts.st_mode)) {
      return file_error(code, "making the directory", path, ENOTDIR);
    }
    return false;
  }
  auto const above = parent_directory(path);
  if (number != ENOENT || above == path) return file_error(code, "making the directory", path, number);
  if (auto made = make_directories(code, above); !made) return made;
  return make_directories(code, path);
}

result<void> sync_directory(std::string_view code, std::string const& path) {
  auto opened = open_file(code, path, O_RDONLY | O_DIRECTORY);
  if (!opened) return fail(std::move(opened));
  return sync_file(code, *opened, path);
}

result<void> sync_file(std::string_view code, file_handle const& file, std::string const& path) {
  if (::fsync(file.get()) != 0) return file_error(code, "syncing", path, errno);
  return result<void>();
}

result<void> write_all(std::string_view code, file_handle const& file, std::string_view bytes,
                       std::string const& path) {
  while (!bytes.empty()) {
    auto const written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return file_error(code, "writing", path, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return result<void>();
}

result<void> replace_file(std::string_view code, std::string const& path, std::string_view content) {
  auto const aside = path + ".new";
  auto opened = open_file(code, aside, O_WRONLY | O_CREAT | O_TRUNC);
  if (!opened) return fail(std::move(opened));
  if (auto written = write_all(code, *opened, content, aside); !written) return written;
  if (auto synced = sync_file(code, *opened, aside); !synced) return synced;
  if (::rename(aside.c_str(), path.c_str()) != 0) return file_error(code, "renaming", aside, errno);
  return sync_directory(code, parent_directory(path));
}

result<std::string> read_all(std::string_view code, file_handle const& file, std::string const& path) {
  std::string content;
  char block[16384];
  for (;;) {
    auto const got = ::read(file.get(), block, sizeof block);
    if (got == 0) return content;
    if (got < 0) {
      if (errno == EINTR) continue;
      return file_error(code, "reading", path, errno);
    }
    content.append(block, static_cast<std::size_t>(got));
  }
}

}  // namespace etl::state
