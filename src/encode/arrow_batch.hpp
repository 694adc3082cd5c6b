#pragma once

#include <memory>
#include <string>
#include <vector>

#include "encode/arrow_abi.hpp"
#include "encode/arrow_column.hpp"
#include "encode/arrow_type.hpp"

namespace etl::encode {

// A column's name and type, and of a record those of the columns in it.
struct arrow_field {
  std::string name;
  arrow_type type;
  std::vector<arrow_field> children;
};

// Rows as an Arrow record batch. Immutable, so any thread may read it.
struct arrow_batch {
  std::shared_ptr<arrow_field const> schema;  // a record
  arrow_column rows;                          // that record
};

// Hands a batch to whatever reads the Arrow C stream interface, without copying: one record batch, then the end. May be
// asked for any number of times. What the reader takes over keeps `batch` alive until the reader releases it, on
// whichever thread that happens; `out` is to be released by the reader, too.
void export_stream(std::shared_ptr<arrow_batch const> batch, ArrowArrayStream* out);

}  // namespace etl::encode
