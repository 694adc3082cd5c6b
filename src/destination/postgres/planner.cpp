#include "destination/postgres/planner.hpp"

#include <algorithm>

namespace etl::destination::postgres {
namespace {

// From here on the server finds neighbouring keys faster one after the other than it costs to sort them.
constexpr std::size_t worth_sorting = 128;

}  // namespace

std::size_t net_changes::rest() const {
  std::size_t count = removed.size() + vanished.size() + changed.size();
  for (auto const& group : partial) count += group.rows.size();
  return count;
}

void net_changes::clear() {
  removed.clear();
  vanished.clear();
  changed.clear();
  partial.clear();
  added.clear();
  rekeyed.clear();
  contradictions = 0;
}

void planner::start(model::table_rows const& segment, arena& memory) {
  segment_ = &segment;
  memory_ = &memory;
  keys_ = key_reader(*segment.table);
  row_ = 0;
  offset_ = 0;
}

bool planner::next(net_changes& out) {
  out.clear();
  auto const& rows = segment_->rows;
  if (row_ == rows.size()) return false;

  entries_.clear();
  index_.clear();
  for (; row_ < rows.size(); offset_ += rows[row_].size, ++row_) {
    auto const& row = rows[row_];
    auto const bytes = segment_->bytes.view().substr(offset_, row.size);
    if (row.kind == model::operation::rekey) {
      field_cursor old_key(fields_of(bytes));
      auto const* const start = old_key.rest().data();
      for (std::size_t i = 0; i < segment_->table->key.size(); ++i) static_cast<void>(old_key.next());
      auto const new_row = old_key.rest();
      mark_unchanged(new_row);
      out.rekeyed.push_back({{start, static_cast<std::size_t>(new_row.data() - start)}, new_row, marks_});
      continue;
    }
    if (!out.rekeyed.empty()) break;
    put(row.kind == model::operation::remove ? fields_of(bytes) : keys_.of(bytes, *memory_), bytes, row, out);
  }

  if (entries_.size() > worth_sorting) {
    std::sort(entries_.begin(), entries_.end(), [](auto const& a, auto const& b) { return a.key < b.key; });
  }
  for (auto const& one : entries_) {
    switch (one.now) {
      case state::removed:
        out.removed.push_back(one.key);
        break;
      case state::vanished:
        out.vanished.push_back(one.key);
        break;
      case state::changed:
        out.changed.push_back(one.row);
        break;
      case state::added:
        out.added.push_back(one.row);
        break;
      case state::partial: {
        mark_unchanged(one.row);
        if (marks_.find('1') == std::string::npos) {  // several partial versions made a whole one
          out.changed.push_back(one.row);
          break;
        }
        auto const same = [&](auto const& group) { return group.unchanged == marks_; };
        auto group = std::find_if(out.partial.begin(), out.partial.end(), same);
        if (group == out.partial.end()) group = out.partial.insert(group, {marks_, {}});
        group->rows.push_back(one.row);
        break;
      }
    }
  }
  return true;
}

void planner::by_value(model::table_rows const& segment, net_changes& out) {
  out.clear();
  index_.clear();
  std::size_t offset = 0;
  for (auto const& row : segment.rows) {
    auto const tuple = segment.bytes.view().substr(offset, row.size);
    offset += row.size;
    auto& added = index_[tuple];
    if (row.kind != model::operation::remove) {
      ++added;
    } else if (added != 0) {
      --added;
    } else {
      out.removed.push_back(tuple);
    }
  }
  offset = 0;
  for (auto const& row : segment.rows) {
    auto const tuple = segment.bytes.view().substr(offset, row.size);
    offset += row.size;
    if (row.kind == model::operation::remove) continue;
    auto& added = index_[tuple];
    if (added == 0) continue;
    --added;
    out.added.push_back(tuple);
  }
}

void planner::put(std::string_view key, std::string_view tuple, model::row const& row, net_changes& out) {
  auto const [at, is_first] = index_.try_emplace(key, static_cast<std::uint32_t>(entries_.size()));
  if (is_first) {
    state now = state::added;
    if (row.kind == model::operation::update) now = row.partial ? state::partial : state::changed;
    if (row.kind == model::operation::remove) now = state::removed;
    entries_.push_back({key, tuple, now});
    return;
  }

  auto& known = entries_[at->second];
  bool const gone = known.now == state::removed || known.now == state::vanished;
  if (row.kind == model::operation::remove) {
    if (!gone) known.now = known.now == state::added ? state::vanished : state::removed;
  } else if (row.partial) {
    if (gone) {
      ++out.contradictions;
    } else {
      known.row = merge(tuple, known.row);
    }
  } else {
    known.row = tuple;
    if (known.now != state::added) known.now = known.now == state::vanished ? state::added : state::changed;
  }
}

std::string_view planner::merge(std::string_view newer, std::string_view older) {
  char* const merged = memory_->take(newer.size() + older.size());
  char* out = merged;
  auto const append = [&](std::string_view bytes) {
    std::memcpy(out, bytes.data(), bytes.size());
    out += bytes.size();
  };
  append(newer.substr(0, count_size));
  field_cursor from_newer(fields_of(newer));
  field_cursor from_older(fields_of(older));
  while (!from_newer.at_end()) {
    auto const wanted = from_newer.next();
    auto const before = from_older.next();
    append(wanted.is_unchanged() ? before.prefixed() : wanted.prefixed());
  }
  return {merged, static_cast<std::size_t>(out - merged)};
}

void planner::mark_unchanged(std::string_view tuple) {
  marks_.clear();
  for (field_cursor cursor(fields_of(tuple)); !cursor.at_end();)
    marks_.push_back(cursor.next().is_unchanged() ? '1' : '0');
}

}  // namespace etl::destination::postgres
