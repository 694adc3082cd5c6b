#include "pipeline/batch_builder.hpp"

#include <algorithm>

#include "encode/ndjson.hpp"

namespace etl::pipeline {

batch_builder::batch_builder(destination::capabilities const& can, destination::encoding wants, batch_limits limits)
    : wants_(wants),
      orders_tables_(can.orders_tables),
      splits_transactions_(can.splits_transactions),
      limits_(limits) {}

model::table_rows& batch_builder::segment_of(target& to, position at) {
  bool const open = to.generation_ == generation_ && (!orders_tables_ || to.segment_ + 1 == current_.steps.size());
  if (!open) {
    to.generation_ = generation_;
    to.segment_ = current_.steps.size();
    current_.steps.emplace_back(model::table_rows{.table = to.table_, .copying = to.copying, .first = at});
  }
  return std::get<model::table_rows>(current_.steps[to.segment_]);
}

result<void> batch_builder::add(target& to, model::operation kind, position at, std::int64_t commit_time,
                                pgoutput::tuple old_values, pgoutput::tuple new_row) {
  auto& segment = segment_of(to, at);
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
    current_.steps.emplace_back(model::table_rows{.table = std::move(chunk.table),
                                                  .bytes = std::move(chunk.bytes),
                                                  .rows = std::move(chunk.rows),
                                                  .copied = true,
                                                  .first = first,
                                                  .last = last});
  }
  close_segments();
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
