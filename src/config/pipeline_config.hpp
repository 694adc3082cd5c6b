#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/secret.hpp"
#include "config/table_filter.hpp"

namespace etl::config {

// A pipeline as its file describes it: validated, every default filled in. The initialisers below are the defaults;
// config/keys.cpp describes each key to people, and a test holds the two together.

enum class binary_mode : std::uint8_t { automatic, on, off };

struct source_config {
  secret url;  // a URI or key=value text, as libpq takes it
  std::optional<secret> password;
  table_filter tables;
  std::string publication;                                         // never empty after load()
  std::string slot;                                                // never empty after load()
  std::chrono::milliseconds heartbeat = std::chrono::seconds(10);  // zero: none
  binary_mode binary = binary_mode::automatic;
  bool failover_slot = false;
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);

  friend bool operator==(source_config const&, source_config const&) = default;
};

enum class destination_type : std::uint8_t { postgres, file, null };
enum class compression_method : std::uint8_t { none, gzip, zstd };
enum class null_encoding : std::uint8_t { ndjson, none };

struct postgres_destination {
  secret url;
  std::optional<secret> password;

  friend bool operator==(postgres_destination const&, postgres_destination const&) = default;
};

struct file_destination {
  std::string path;  // absolute, or "-" for standard output
  compression_method compression = compression_method::none;
  std::uint64_t segment_bytes = 64 << 20;  // before compression
  std::string operation_column = "_etl_operation";
  std::string commit_time_column = "_etl_commit_time";

  friend bool operator==(file_destination const&, file_destination const&) = default;
};

struct null_destination {
  null_encoding encoding = null_encoding::ndjson;

  friend bool operator==(null_destination const&, null_destination const&) = default;
};

struct destination_config {
  destination_type type = destination_type::null;
  std::string position_column = "_etl_position";
  // Only the one that `type` names is filled in.
  postgres_destination postgres;
  file_destination file;
  null_destination null;

  friend bool operator==(destination_config const&, destination_config const&) = default;
};

enum class copy_mode : std::uint8_t { when_new, always, never };
// What to do when a destination table has rows before its first copy.
enum class existing_rows : std::uint8_t { error, replace, keep };

struct copy_config {
  copy_mode mode = copy_mode::when_new;
  unsigned workers = 2;
  std::uint64_t chunk_size = 8 << 20;   // bytes of the source's heap
  std::uint64_t max_memory = 64 << 20;  // bytes of all chunks in flight
  config::existing_rows existing_rows = config::existing_rows::error;

  friend bool operator==(copy_config const&, copy_config const&) = default;
};

// Where there is none, the destination's own default holds.
struct batch_config {
  std::optional<std::uint64_t> max_rows;
  std::optional<std::uint64_t> max_bytes;
  std::optional<std::chrono::milliseconds> max_fill;

  friend bool operator==(batch_config const&, batch_config const&) = default;
};

struct state_config {
  std::string sqlite_path;  // absolute; never empty after load()

  friend bool operator==(state_config const&, state_config const&) = default;
};

struct pipeline_config {
  std::string name;
  std::string file;  // where it was read from, for messages
  source_config source;
  destination_config destination;
  copy_config copy;
  batch_config batch;
  state_config state;
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds(10);

  friend bool operator==(pipeline_config const&, pipeline_config const&) = default;
};

}  // namespace etl::config
