#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "config/pipeline_config.hpp"
#include "destination/destination.hpp"
#include "destination/file/compressor.hpp"
#include "destination/file/manifest.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"
#include "state/files.hpp"
#include "state/lock_file.hpp"

namespace etl::destination::file {

struct store_options {
  std::string path;
  std::string pipeline;
  config::compression_method compression = config::compression_method::none;
  std::uint64_t segment_bytes = 64 << 20;  // before compression; a segment ends with the piece that reaches it
};

// The directory of a file destination, as calls that block: from one thread at a time. Rows gather in segments that no
// reader sees; flush() makes them exist, together with the position and the documents. After an error it must be opened
// again, and is then as of the last flush().
//
// Errors: `destination.file` (a file operation failed), and what the functions name.
class segment_store {
 public:
  // Makes the directory, locks it, and removes what a crash has left. Errors (config): `destination.in_use`,
  // `destination.other_pipeline`, `destination.manifest_damaged`.
  static result<std::unique_ptr<segment_store>> open(store_options options);
  ~segment_store();

  [[nodiscard]] recovered progress() const;
  // Errors (data): `destination.table_name` where a name cannot be that of a directory, or is not UTF-8.
  result<table_state> ensure_table(model::relation const& table);
  // Appends the rows. Every table was ensured.
  result<void> write(model::batch const& batch);
  // Returns the position up to which everything is durable: that of the last batch.
  result<position> flush();

 private:
  struct segment;
  struct table {
    std::string schema;
    std::string name;
    std::string directory;  // its name
    std::string columns;    // the path of its columns' file, from the store's
    std::string columns_text;
    segment* open = nullptr;
  };

  explicit segment_store(store_options options);
  result<void> prepare();
  result<void> claim();
  result<void> remove_leftovers();
  result<void> save_columns(table& of, std::string text);
  result<void> append(table& to, model::table_rows const& rows);
  result<segment*> open_segment(table& of);
  result<void> pack(segment& into, std::string_view bytes);
  result<void> finish(table& of);
  result<void> truncate(model::truncation const& event);
  [[nodiscard]] std::string at(std::string_view name) const;

  store_options options_;
  std::optional<state::lock_file> lock_;
  std::optional<manifest> manifest_;
  compressor compressor_;
  buffer packed_;

  std::map<std::string, table> tables_;  // by directory
  std::map<std::uint32_t, table*> tables_by_oid_;
  std::set<std::string> with_rows_;  // directories with segments
  std::list<table*> open_;           // tables with an open segment, the one last written to in front

  // Since the last flush.
  std::vector<std::variant<std::unique_ptr<segment>, model::truncation>> steps_;
  std::vector<model::document> documents_;
  position accepted_{};
  std::uint64_t segments_made_ = 0;
};

}  // namespace etl::destination::file
