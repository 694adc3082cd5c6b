#include "destination/file/manifest.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <optional>

namespace etl::destination::file {
namespace {

namespace json = boost::json;

constexpr std::string_view code = "destination.file";
constexpr std::uint64_t first_look = 64 << 10;

// What recovery needs of a line.
struct entry {
  position durable;
  std::vector<model::document> documents;  // an empty value: removed
  bool complete = false;
};

std::optional<entry> parse(std::string_view line) {
  boost::system::error_code failed;
  auto const value = json::parse(line, failed);
  auto const* const object = failed ? nullptr : value.if_object();
  auto const* const at = object == nullptr ? nullptr : object->if_contains("position");
  if (at == nullptr || !at->is_string()) return std::nullopt;
  auto const durable = position::parse(at->get_string());
  if (!durable) return std::nullopt;
  entry found{*durable, {}, false};
  if (auto const* const documents = object->if_contains("documents"); documents != nullptr) {
    if (!documents->is_object()) return std::nullopt;
    for (auto const& [key, text] : documents->get_object()) {
      if (!text.is_string() && !text.is_null()) return std::nullopt;
      found.documents.push_back({std::string(key), text.is_null() ? "" : std::string(text.get_string())});
    }
  }
  auto const* const complete = object->if_contains("complete");
  found.complete = complete != nullptr && complete->is_bool() && complete->get_bool();
  return found;
}

}  // namespace

error manifest::damaged() const {
  return {
      severity::config, "destination.manifest_damaged", fmt::format("{} has lines that are not a manifest's", path_),
      "Put a backup in its place, or let the pipeline begin anew in an empty directory, with a new slot and state."};
}

result<manifest> manifest::open(std::string path) {
  manifest opened(std::move(path));
  auto file = state::open_file(code, opened.path_, O_RDWR | O_CREAT | O_APPEND);
  if (!file) return fail(std::move(file));
  opened.file_ = std::move(*file);
  if (auto read = opened.recover(); !read) return fail(std::move(read));
  return opened;
}

result<void> manifest::cut(std::uint64_t size) {
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0)
    return state::file_error(code, "shortening", path_, errno);
  return state::sync_file(code, file_, path_);
}

// Reads from the end, twice as far each time, until there is a line with all documents, or the start.
result<void> manifest::recover() {
  auto const end = ::lseek(file_.get(), 0, SEEK_END);
  if (end < 0) return state::file_error(code, "reading", path_, errno);
  auto const size = static_cast<std::uint64_t>(end);
  for (auto look = first_look;; look *= 2) {
    bool const whole = look >= size;
    auto const from = whole ? 0 : size - look;
    if (::lseek(file_.get(), static_cast<off_t>(from), SEEK_SET) < 0)
      return state::file_error(code, "reading", path_, errno);
    auto content = state::read_all(code, file_, path_);
    if (!content) return fail(std::move(content));
    std::string_view tail = *content;
    if (!whole) {
      auto const line = tail.find('\n');
      tail.remove_prefix(line == std::string_view::npos ? tail.size() : line + 1);
    }
    auto const torn = tail.size() - (tail.find_last_of('\n') + 1);  // npos + 1 is 0: no line at all
    tail.remove_suffix(torn);
    if (tail.empty() && !whole) continue;

    std::vector<entry> entries;  // newest first
    std::uint64_t good = size - torn;
    while (!tail.empty() && (entries.empty() || !entries.back().complete)) {
      auto const before = tail.substr(0, tail.size() - 1).find_last_of('\n');
      auto const start = before == std::string_view::npos ? 0 : before + 1;
      auto const line = tail.substr(start);
      tail.remove_suffix(line.size());
      if (auto parsed = parse(line.substr(0, line.size() - 1))) {
        entries.push_back(std::move(*parsed));
      } else if (entries.empty() && good == size - torn) {
        // A power failure may keep the length of an append and not its bytes: such a line was never acknowledged.
        good -= line.size();
      } else {
        return damaged();
      }
    }
    if (!whole && (entries.empty() || !entries.back().complete)) continue;

    if (good != size) {
      if (auto shortened = cut(good); !shortened) return shortened;
    }
    if (entries.empty()) return result<void>();
    durable_ = entries.front().durable;
    if (entries.back().complete) since_complete_ = static_cast<unsigned>(entries.size());
    for (auto one = entries.rbegin(); one != entries.rend(); ++one) {
      for (auto& [key, value] : one->documents) {
        if (value.empty()) {
          documents_.erase(key);
        } else {
          documents_[key] = std::move(value);
        }
      }
    }
    return result<void>();
  }
}

result<void> manifest::append(position durable, json::array steps, std::vector<model::document> const& changed) {
  for (auto const& [key, value] : changed) {
    if (value.empty()) {
      documents_.erase(key);
    } else {
      documents_[key] = value;
    }
  }
  bool const complete = since_complete_ >= complete_every;
  json::object documents;
  if (complete) {
    for (auto const& [key, value] : documents_) documents[key] = value;
  } else {
    for (auto const& [key, value] : changed) documents[key] = value.empty() ? json::value() : json::value(value);
  }
  json::object line{{"position", durable.to_text()}, {"steps", std::move(steps)}, {"documents", std::move(documents)}};
  line["complete"] = complete;
  auto const text = json::serialize(line) + '\n';
  if (auto written = state::write_all(code, file_, text, path_); !written) return written;
  if (auto synced = state::sync_file(code, file_, path_); !synced) return synced;
  durable_ = durable;
  since_complete_ = complete ? 1 : since_complete_ + 1;
  return result<void>();
}

}  // namespace etl::destination::file
