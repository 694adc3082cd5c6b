#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "base/lsn.hpp"
#include "destination/destination.hpp"
#include "encode/copy_rows.hpp"
#include "encode/ndjson.hpp"
#include "model/batch.hpp"
#include "pgoutput/decoder.hpp"

namespace etl::pipeline {

// Rows of one table and schema version into the layout that the destination wants. Each core that encodes has its own.
class row_encoder {
 public:
  row_encoder(destination::encoding wants, model::relation_ptr table, encode::ndjson_options const& options)
      : table_(std::move(table)), wants_(wants) {
    if (wants == destination::encoding::ndjson) ndjson_.emplace(table_, options);
  }

  // Appends one row. On an error what was appended has to be cut off again.
  result<void> encode(buffer& out, model::operation kind, position at, std::int64_t commit_time,
                      pgoutput::tuple old_values, pgoutput::tuple new_row) {
    switch (wants_) {
      case destination::encoding::none:
        return result<void>();
      case destination::encoding::ndjson:
        return ndjson_->encode(out, kind, at, commit_time, old_values, new_row);
      case destination::encoding::copy_binary:
      case destination::encoding::copy_text:
        return encode::encode_copy_row(out, *table_, kind, old_values, new_row);
    }
    return result<void>();
  }

 private:
  model::relation_ptr table_;
  destination::encoding wants_;
  std::optional<encode::ndjson_encoder> ndjson_;
};

}  // namespace etl::pipeline
