#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/lsn.hpp"
#include "config/pipeline_config.hpp"

namespace etl::destination::file {

// "schema.table", with %XX for dots inside either name, control characters, '/', '\\' and '%': different tables have
// different names.
[[nodiscard]] std::string directory_name(std::string_view schema, std::string_view table);

// "FIRST-LAST.ndjson", ".gz" or ".zst" behind it when compressed.
[[nodiscard]] std::string segment_name(position first, position last, config::compression_method compression);
// The first position of a file that is called like a segment, however compressed.
[[nodiscard]] std::optional<position> segment_start(std::string_view name);

// "schema-N.json"
[[nodiscard]] std::string columns_name(unsigned number);

}  // namespace etl::destination::file
