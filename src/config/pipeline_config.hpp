#pragma once

#include <chrono>
#include <cstdint>
#include <map>
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
  bool sequences = false;
  std::chrono::milliseconds sequences_every = std::chrono::seconds(60);
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);

  friend bool operator==(source_config const&, source_config const&) = default;
};

enum class destination_type : std::uint8_t { postgres, snowflake, duckdb, python, file, null };
enum class compression_method : std::uint8_t { none, gzip, zstd };
enum class null_encoding : std::uint8_t { ndjson, none };

struct postgres_destination {
  secret url;
  std::optional<secret> password;

  friend bool operator==(postgres_destination const&, postgres_destination const&) = default;
};

// How the landing table's rows become the target table's.
enum class apply_mode : std::uint8_t { merge, task, view, append };
enum class snowflake_transport : std::uint8_t { sdk, rest };
// How names of PostgreSQL are written in Snowflake, where unquoted ones are upper case.
enum class name_case : std::uint8_t { preserve, upper };
// What becomes of rows that the service refuses.
enum class on_reject : std::uint8_t { stop, quarantine };

struct snowflake_destination {
  std::string account;
  std::string endpoint;  // empty: https://ACCOUNT.snowflakecomputing.com
  std::string ca_file;   // absolute; empty: the system's certificate authorities
  std::string user;
  secret private_key;  // PKCS#8 PEM
  std::optional<secret> passphrase;
  std::string database;
  std::string schema = "PUBLIC";
  std::string landing_schema = "ETL_SCHEMA";
  std::string warehouse;
  std::string role;  // empty: the user's default role
  apply_mode apply = apply_mode::merge;
  std::chrono::milliseconds apply_every = std::chrono::seconds(60);
  snowflake_transport transport = snowflake_transport::sdk;
  unsigned channels = 2;  // per table
  config::name_case name_case = config::name_case::preserve;
  config::on_reject on_reject = config::on_reject::stop;

  friend bool operator==(snowflake_destination const&, snowflake_destination const&) = default;
};

enum class row_keeping : std::uint8_t { current, history };

struct duckdb_destination {
  std::string path;    // absolute
  std::string schema;  // empty: that of the source
  row_keeping mode = row_keeping::current;

  friend bool operator==(duckdb_destination const&, duckdb_destination const&) = default;
};

enum class batch_format : std::uint8_t { arrow, ndjson };

struct python_destination {
  std::string module;  // an absolute path of a .py file, or a dotted name
  batch_format format = batch_format::arrow;
  std::map<std::string, secret> settings;  // handed to the module's open()

  friend bool operator==(python_destination const&, python_destination const&) = default;
};

struct file_destination {
  std::string path;  // absolute, or "-" for standard output
  compression_method compression = compression_method::none;
  std::uint64_t segment_bytes = 64 << 20;  // before compression

  friend bool operator==(file_destination const&, file_destination const&) = default;
};

struct null_destination {
  null_encoding encoding = null_encoding::ndjson;

  friend bool operator==(null_destination const&, null_destination const&) = default;
};

// What becomes of values that the destination has no way to write.
enum class unrepresentable : std::uint8_t { error, null, text };

// What one column of the source has of its own, by its names there.
struct column_config {
  std::string schema;
  std::string table;
  std::string column;
  unrepresentable on_unrepresentable = unrepresentable::text;

  friend bool operator==(column_config const&, column_config const&) = default;
};

struct destination_config {
  destination_type type = destination_type::null;
  // What columns of metadata are called, where rows have them.
  std::string position_column = "_etl_position";
  std::string operation_column = "_etl_operation";
  std::string commit_time_column = "_etl_commit_time";
  unrepresentable on_unrepresentable = unrepresentable::text;
  std::vector<column_config> columns;
  // Only the one that `type` names is filled in.
  postgres_destination postgres;
  snowflake_destination snowflake;
  duckdb_destination duckdb;
  python_destination python;
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

struct python_config {
  std::string venv;  // absolute; empty: the one that `etl-stream python setup` makes

  friend bool operator==(python_config const&, python_config const&) = default;
};

struct pipeline_config {
  std::string name;
  std::string file;  // where it was read from, for messages
  source_config source;
  destination_config destination;
  copy_config copy;
  batch_config batch;
  state_config state;
  python_config python;
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds(10);

  friend bool operator==(pipeline_config const&, pipeline_config const&) = default;
};

}  // namespace etl::config
