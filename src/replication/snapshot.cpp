#include "replication/snapshot.hpp"

#include <algorithm>
#include <charconv>

namespace etl::replication {
namespace {

// Takes a number and the delimiter behind it off the front; `delimiter` 0 stands for the end of the text.
std::optional<std::uint64_t> take_number(std::string_view& text, char delimiter) {
  std::uint64_t value = 0;
  auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (delimiter == 0) return text.empty() ? std::optional(value) : std::nullopt;
  if (!text.starts_with(delimiter)) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

std::uint64_t widen(std::uint32_t xid, std::uint64_t near) {
  auto const distance = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(near));
  return near + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
}

}  // namespace

std::optional<snapshot> snapshot::parse(std::string_view text) {
  snapshot parsed;
  auto const xmin = take_number(text, ':');
  auto const xmax = xmin ? take_number(text, ':') : std::nullopt;
  if (!xmax || *xmin > *xmax) return std::nullopt;
  parsed.xmin = *xmin;
  parsed.xmax = *xmax;
  while (!text.empty()) {
    bool const last = text.find(',') == std::string_view::npos;
    auto const xid = take_number(text, last ? '\0' : ',');
    auto const least = parsed.running.empty() ? parsed.xmin : parsed.running.back() + 1;
    if (!xid || *xid < least || *xid >= parsed.xmax || (!last && text.empty())) return std::nullopt;
    parsed.running.push_back(*xid);
  }
  return parsed;
}

bool snapshot::lists_running(std::uint32_t xid) const {
  return std::binary_search(running.begin(), running.end(), widen(xid, xmax));
}

bool snapshot::sees(std::uint32_t xid) const { return widen(xid, xmax) < xmax && !lists_running(xid); }

bool snapshot::includes(snapshot const& other) const {
  if (xmax < other.xmax) return false;
  auto const end = std::lower_bound(running.begin(), running.end(), other.xmax);
  return std::includes(other.running.begin(), other.running.end(), running.begin(), end);
}

}  // namespace etl::replication
