#include "pipeline/copy_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

namespace etl::pipeline {
namespace {

namespace json = boost::json;

constexpr std::string_view state_names[] = {"pending", "running", "done", "stopped"};

}  // namespace

void block_ranges::add(std::uint32_t first, std::uint32_t end) {
  if (first >= end) return;
  auto at = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                             [](auto const& r, std::uint32_t f) { return r.second < f; });
  auto last = at;
  for (; last != ranges_.end() && last->first <= end; ++last) {
    first = std::min(first, last->first);
    end = std::max(end, last->second);
  }
  at = ranges_.erase(at, last);
  ranges_.insert(at, {first, end});
}

bool block_ranges::covers(std::uint32_t first, std::uint32_t end) const {
  return first >= end || std::any_of(ranges_.begin(), ranges_.end(),
                                     [&](auto const& r) { return r.first <= first && end <= r.second; });
}

std::uint64_t block_ranges::count() const {
  std::uint64_t blocks = 0;
  for (auto const& [first, end] : ranges_) blocks += end - first;
  return blocks;
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> block_ranges::missing(std::uint32_t blocks) const {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> gaps;
  std::uint32_t at = 0;
  for (auto const& [first, end] : ranges_) {
    if (first >= blocks) break;
    if (first > at) gaps.emplace_back(at, first);
    at = std::max(at, end);
  }
  if (at < blocks) gaps.emplace_back(at, blocks);
  return gaps;
}

std::string copy_progress::key(std::uint32_t relation_oid) { return fmt::format("table/{}", relation_oid); }

std::string copy_progress::to_document() const {
  json::object document{
      {"schema", schema}, {"name", name}, {"copy", state_names[static_cast<std::size_t>(state)]}, {"rows", rows}};
  if (whole) document["whole"] = true;
  if (!parts.empty() && state == copy_state::running) {
    json::array list;
    for (auto const& part : parts) {
      json::array done;
      for (auto const& [first, end] : part.done.list()) done.push_back(json::array{first, end});
      list.push_back(json::object{
          {"oid", part.oid}, {"filenode", part.filenode}, {"blocks", part.blocks}, {"done", std::move(done)}});
    }
    document["parts"] = std::move(list);
  }
  return json::serialize(document);
}

std::optional<copy_progress> copy_progress::parse(std::string_view text) {
  boost::system::error_code failed;
  auto const value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !value.is_object()) return std::nullopt;
  try {
    auto const& document = value.as_object();
    copy_progress found;
    found.schema = json::value_to<std::string>(document.at("schema"));
    found.name = json::value_to<std::string>(document.at("name"));
    auto const state = json::value_to<std::string>(document.at("copy"));
    auto const* const at = std::find(std::begin(state_names), std::end(state_names), state);
    if (at == std::end(state_names)) return std::nullopt;
    found.state = static_cast<copy_state>(at - std::begin(state_names));
    if (auto const* whole = document.if_contains("whole")) found.whole = whole->as_bool();
    if (auto const* rows = document.if_contains("rows")) found.rows = json::value_to<std::uint64_t>(*rows);
    if (auto const* parts = document.if_contains("parts")) {
      for (auto const& entry : parts->as_array()) {
        part_progress part;
        part.oid = json::value_to<std::uint32_t>(entry.at("oid"));
        part.filenode = json::value_to<std::uint32_t>(entry.at("filenode"));
        part.blocks = json::value_to<std::uint32_t>(entry.at("blocks"));
        for (auto const& range : entry.at("done").as_array()) {
          part.done.add(json::value_to<std::uint32_t>(range.at(0)), json::value_to<std::uint32_t>(range.at(1)));
        }
        found.parts.push_back(std::move(part));
      }
    }
    return found;
  } catch (std::exception const&) {  // a field is missing or of another type
    return std::nullopt;
  }
}

}  // namespace etl::pipeline
