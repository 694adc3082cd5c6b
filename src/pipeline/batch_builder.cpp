#include "pipeline/batch_builder.hpp"

#include <algorithm>

#include "encode/key.hpp"
#include "encode/ndjson.hpp"

namespace etl::pipeline {

batch_builder::batch_builder(destination::capabilities const& can, destination::encoding wants, batch_limits limits)
    : wants_(wants),
      orders_tables_(can.orders_tables),
      row_origins_(can.row_origins),
      lanes_(can.lanes),
      splits_transactions_(can.splits_transactions),
      limits_(limits) {}

std::uint16_t batch_builder::lane_of(model::key_hash const& key) const {
  return static_cast<std::uint16_t>(key.low % lanes_);
}

std::uint16_t batch_builder::lane_of(model::relation const& table, position at, pgoutput::tuple row) const {
  if (lanes_ == 1) return 0;
  if (table.key.empty()) return static_cast<std::uint16_t>(at.ordinal / 2 % lanes_);
  return lane_of(encode::hash_key(row, table.key));
}

model::table_rows& batch_builder::segment_of(target& to, std::uint16_t lane, position at) {
  if (to.segments_.size() < lanes_) to.segments_.resize(lanes_);
  auto& segment = to.segments_[lane];
  bool const open =
      segment.generation == generation_ && (!orders_tables_ || segment.index + 1 == current_.steps.size());
  if (!open) {
    segment = {generation_, current_.steps.size()};
    current_.steps.emplace_back(
        model::table_rows{.table = to.table_, .lane = lane, .copying = to.copying, .first = at});
  }
  return std::get<model::table_rows>(current_.steps[segment.index]);
}

result<void> batch_builder::add(target& to, model::operation kind, position at, std::int64_t commit_time,
                                pgoutput::tuple old_values, pgoutput::tuple new_row) {
  auto& segment = segment_of(to, lane_of(*to.table_, at, new_row.empty() ? old_values : new_row), at);
  auto const before = segment.bytes.size();
  if (auto encoded = to.encoder_.encode(segment.bytes, kind, at, commit_time, old_values, new_row); !encoded) {
    segment.bytes.truncate(before);
    return encoded;
  }
  bool const partial = kind != model::operation::insert &&
                       std::any_of(new_row.begin(), new_row.end(),
                                   [](auto const& v) { return v.kind == pgoutput::value_kind::unchanged; });
  auto const size = segment.bytes.size() - before;
  segment.rows.push_back({static_cast<std::uint32_t>(size), kind, partial});
  if (row_origins_) segment.origins.push_back({at, commit_time});
  segment.only_new = segment.only_new && kind == model::operation::insert;
  segment.last = at;
  current_.last = at;
  ++current_.rows;
  current_.bytes += size;
  return result<void>();
}

void batch_builder::add_truncation(model::truncation event) {
  current_.last = event.at;
  current_.steps.emplace_back(std::move(event));
  close_segments();
}

void batch_builder::add_chunk(chunk_rows chunk, position first) {
  position at = first;
  if (wants_ == destination::encoding::ndjson) {
    char* line = chunk.bytes.data();
    for (auto const& row : chunk.rows) {
      encode::ndjson_encoder::patch_position(line, at);
      line += row.size;
      ++at.ordinal;
    }
  } else {
    at.ordinal += chunk.rows.size();
  }
  position const last{at.commit, at.ordinal - (chunk.rows.empty() ? 0 : 1)};
  current_.last = last;
  current_.rows += chunk.rows.size();
  current_.bytes += chunk.bytes.size();
  if (!chunk.rows.empty()) {
    model::table_rows made{.table = std::move(chunk.table),
                           .bytes = std::move(chunk.bytes),
                           .rows = std::move(chunk.rows),
                           .only_new = !chunk.removals,
                           .copied = true,
                           .first = first,
                           .last = last};
    if (row_origins_) {
      for (at = first; made.origins.size() < made.rows.size(); ++at.ordinal) {
        made.origins.push_back({at, model::no_commit_time});
      }
    }
    if (lanes_ == 1) {
      current_.steps.emplace_back(std::move(made));
    } else {
      add_by_lane(std::move(made), chunk.hashes);
    }
  }
  close_segments();
}

void batch_builder::add_by_lane(model::table_rows rows, std::vector<model::key_hash> const& hashes) {
  std::vector<model::table_rows> parts(lanes_);
  char const* bytes = rows.bytes.data();
  position at = rows.first;
  for (std::size_t i = 0; i < rows.rows.size(); ++i, ++at.ordinal) {
    auto const lane = hashes.empty() ? static_cast<std::uint16_t>(i % lanes_) : lane_of(hashes[i]);
    auto& part = parts[lane];
    if (part.rows.empty()) part.first = at;
    part.last = at;
    part.bytes.append({bytes, rows.rows[i].size});
    part.rows.push_back(rows.rows[i]);
    if (row_origins_) part.origins.push_back(rows.origins[i]);
    bytes += rows.rows[i].size;
  }
  for (std::uint16_t lane = 0; lane < lanes_; ++lane) {
    auto& part = parts[lane];
    if (part.rows.empty()) continue;
    part.table = rows.table;
    part.lane = lane;
    part.only_new = rows.only_new;
    part.copied = true;
    current_.steps.emplace_back(std::move(part));
  }
}

void batch_builder::add_document(model::document entry) {
  auto const at = std::find_if(current_.documents.begin(), current_.documents.end(),
                               [&](auto const& d) { return d.key == entry.key; });
  if (at != current_.documents.end()) {
    at->value = std::move(entry.value);
  } else {
    current_.documents.push_back(std::move(entry));
  }
}

void batch_builder::end_transaction(position last, lsn end, std::int64_t commit_time) {
  at_boundary_ = true;
  current_.last = std::max(current_.last, last);
  current_.end = end;
  current_.commit_time = commit_time;
}

model::batch batch_builder::take() {
  model::batch taken = std::exchange(current_, model::batch{});
  taken.ends_transaction = at_boundary_;
  owes_end_ = !at_boundary_;
  close_segments();
  return taken;
}

}  // namespace etl::pipeline
