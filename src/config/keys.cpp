#include "config/keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "config/quantity.hpp"

namespace etl::config {
namespace {

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;

template <class Field>
void assign(Field& field, key_value&& value) {
  if constexpr (is_optional<Field>) {
    assign(field.emplace(), std::move(value));
  } else if constexpr (std::is_enum_v<Field> || (std::is_integral_v<Field> && !std::is_same_v<Field, bool>)) {
    field = static_cast<Field>(std::get<std::int64_t>(value));
  } else {
    field = std::get<Field>(std::move(value));
  }
}

// put<&pipeline_config::copy, &copy_config::workers> sets config.copy.workers.
template <auto... Members>
void put(pipeline_config& into, key_value&& value) {
  assign((into.*....*Members), std::move(value));
}

bool only(std::string_view text, std::string_view others) {
  return std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || others.find(c) != std::string_view::npos;
  });
}

constexpr std::string_view upper_case = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

std::string_view pipeline_name(std::string_view text) {
  bool const fine = !text.empty() && text.size() <= 40 && std::ranges::all_of(text, [](char c) {
    return only({&c, 1}, "_-") || upper_case.find(c) != std::string_view::npos;
  });
  return fine ? "" : "1 to 40 letters, digits, _ and -";
}

// PostgreSQL manual, "Replication Slots": lower-case letters, digits and underscores.
std::string_view slot_name(std::string_view text) {
  bool const fine = !text.empty() && text.size() <= 63 && only(text, "_");
  return fine ? "" : "1 to 63 lower-case letters, digits and _";
}

std::string_view identifier(std::string_view text) { return !text.empty() && text.size() <= 63 ? "" : "1 to 63 bytes"; }

std::string_view connection(std::string_view text) {
  bool const uri = text.starts_with("postgres://") || text.starts_with("postgresql://");
  bool const pairs = !uri && text.find("://") == std::string_view::npos && text.find('=') != std::string_view::npos;
  return uri || pairs ? "" : "a postgres:// URI, or key=value pairs as libpq takes them";
}

std::string_view long_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 255 ? "" : "1 to 255 bytes";
}

std::string_view account(std::string_view text) {
  bool const fine = !text.empty() && std::ranges::all_of(text, [](char c) {
    return only({&c, 1}, "-_.") || upper_case.find(c) != std::string_view::npos;
  });
  return fine
             ? ""
             : "letters, digits, hyphens, underscores and dots: the part of the address before .snowflakecomputing.com";
}

std::string_view https_address(std::string_view text) {
  constexpr std::string_view scheme = "https://";
  bool const fine = text.starts_with(scheme) && text.size() > scheme.size() &&
                    text.find('/', scheme.size()) == std::string_view::npos;
  return fine ? "" : "https:// and a host, with a port where it is not 443";
}

std::string_view pem_key(std::string_view text) {
  bool const fine =
      text.starts_with("-----BEGIN PRIVATE KEY-----") || text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----");
  return fine ? "" : "a PKCS#8 key in PEM, which begins with BEGIN PRIVATE KEY or BEGIN ENCRYPTED PRIVATE KEY";
}

std::string_view not_empty(std::string_view text) { return text.empty() ? "a text that is not empty" : ""; }

constexpr std::string_view sqlite_scheme = "sqlite:";

std::string_view state_url(std::string_view text) {
  return text.starts_with(sqlite_scheme) && text.size() > sqlite_scheme.size() ? "" : "sqlite: and the path of a file";
}

void put_state(pipeline_config& into, key_value&& value) {
  into.state.sqlite_path = std::get<std::string>(value).substr(sqlite_scheme.size());
}

// Only that of the destination's type is looked at.
void put_path(pipeline_config& into, key_value&& value) {
  into.destination.file.path = into.destination.duckdb.path = std::get<std::string>(std::move(value));
}

void put_schema(pipeline_config& into, key_value&& value) {
  into.destination.snowflake.schema = into.destination.duckdb.schema = std::get<std::string>(std::move(value));
}

constexpr std::int64_t second = 1'000;
constexpr std::int64_t hour = 3'600 * second;
constexpr std::int64_t kib = 1 << 10;
constexpr std::int64_t mib = 1 << 20;
constexpr std::int64_t gib = 1 << 30;

// Each in the order of its enum.
constexpr std::string_view binary_modes[] = {"auto", "on", "off"};
constexpr std::string_view destination_types[] = {"postgres", "snowflake", "duckdb", "python", "file", "null"};
constexpr std::string_view apply_modes[] = {"merge", "task", "view", "append"};
constexpr std::string_view transports[] = {"sdk", "rest"};
constexpr std::string_view name_cases[] = {"preserve", "upper"};
constexpr std::string_view on_reject_choices[] = {"stop", "quarantine"};
constexpr std::string_view unrepresentables[] = {"error", "null", "text"};
constexpr std::string_view row_keepings[] = {"current", "history"};
constexpr std::string_view batch_formats[] = {"arrow", "ndjson"};
constexpr std::string_view compressions[] = {"none", "gzip", "zstd"};
constexpr std::string_view null_encodings[] = {"ndjson", "none"};
constexpr std::string_view copy_modes[] = {"when_new", "always", "never"};
constexpr std::string_view existing_rows_choices[] = {"error", "replace", "keep"};

constexpr auto source = &pipeline_config::source;
constexpr auto destination = &pipeline_config::destination;
constexpr auto postgres = &destination_config::postgres;
constexpr auto snowflake = &destination_config::snowflake;
constexpr auto duckdb = &destination_config::duckdb;
constexpr auto python = &destination_config::python;
constexpr auto file = &destination_config::file;
constexpr owners has_metadata = {destination_type::file, destination_type::snowflake, destination_type::duckdb,
                                 destination_type::python};
constexpr auto copy = &pipeline_config::copy;
constexpr auto batch = &pipeline_config::batch;

constexpr key table[] = {
    {.path = "name",
     .summary = "the pipeline's name, from which slot, publication and state take theirs",
     .required = true,
     .complaint = pipeline_name,
     .set = put<&pipeline_config::name>},
    {.path = "shutdown_timeout",
     .type = key_type::duration,
     .summary = "how long a stop may wait until what was read is durable",
     .fallback = R"("10s")",
     .most = hour,
     .set = put<&pipeline_config::shutdown_timeout>},

    {.path = "source.url",
     .type = key_type::secret,
     .summary = "the database to replicate from",
     .required = true,
     .complaint = connection,
     .set = put<source, &source_config::url>},
    {.path = "source.password",
     .type = key_type::secret,
     .summary = "the password, kept apart from the URL",
     .complaint = not_empty,
     .set = put<source, &source_config::password>},
    {.path = "source.tables",
     .type = key_type::tables,
     .summary = "the tables to replicate",
     .fallback = "those of the publication, or all when it is new",
     .fallback_is_toml = false,
     .set = put<source, &source_config::tables>},
    {.path = "source.publication",
     .summary = "the publication, made when there is none of that name",
     .fallback = "etl_stream_ and the name",
     .fallback_is_toml = false,
     .complaint = identifier,
     .set = put<source, &source_config::publication>},
    {.path = "source.slot",
     .summary = "the replication slot, made when there is none of that name",
     .fallback = "etl_stream_ and the name in lower case with _ for -",
     .fallback_is_toml = false,
     .complaint = slot_name,
     .set = put<source, &source_config::slot>},
    {.path = "source.heartbeat",
     .type = key_type::duration,
     .summary = "how often an idle source is moved on, so that it can free WAL; zero for never",
     .fallback = R"("10s")",
     .most = hour,
     .set = put<source, &source_config::heartbeat>},
    {.path = "source.binary",
     .type = key_type::choice,
     .summary = "whether values travel in binary form",
     .fallback = R"("auto")",
     .choices = binary_modes,
     .set = put<source, &source_config::binary>},
    {.path = "source.failover_slot",
     .type = key_type::boolean,
     .summary = "makes the slot one that standbys keep, from PostgreSQL 17 on",
     .fallback = "false",
     .set = put<source, &source_config::failover_slot>},
    {.path = "source.sequences",
     .type = key_type::boolean,
     .summary = "carries the sequences' values to the destination, too",
     .fallback = "false",
     .of = {destination_type::postgres},
     .set = put<source, &source_config::sequences>},
    {.path = "source.sequences_every",
     .type = key_type::duration,
     .summary = "how often sequences are carried over, besides at the end of a run",
     .fallback = R"("60s")",
     .of = {destination_type::postgres},
     .least = 100,
     .most = 24 * hour,
     .set = put<source, &source_config::sequences_every>},
    {.path = "source.connect_timeout",
     .type = key_type::duration,
     .summary = "how long a connection to the source may take to be made",
     .fallback = R"("10s")",
     .least = 100,
     .most = hour,
     .set = put<source, &source_config::connect_timeout>},

    {.path = "destination.type",
     .type = key_type::choice,
     .summary = "what kind of destination it is",
     .required = true,
     .choices = destination_types,
     .set = put<destination, &destination_config::type>},
    {.path = "destination.position_column",
     .summary = "the column that holds each row's position",
     .fallback = R"("_etl_position")",
     .complaint = identifier,
     .set = put<destination, &destination_config::position_column>},
    {.path = "destination.url",
     .type = key_type::secret,
     .summary = "the database to replicate to",
     .required = true,
     .of = {destination_type::postgres},
     .complaint = connection,
     .set = put<destination, postgres, &postgres_destination::url>},
    {.path = "destination.password",
     .type = key_type::secret,
     .summary = "the password, kept apart from the URL",
     .of = {destination_type::postgres},
     .complaint = not_empty,
     .set = put<destination, postgres, &postgres_destination::password>},
    {.path = "destination.account",
     .summary = "the account identifier, such as myorg-account",
     .required = true,
     .of = {destination_type::snowflake},
     .complaint = account,
     .set = put<destination, snowflake, &snowflake_destination::account>},
    {.path = "destination.user",
     .summary = "the user that the key pair belongs to",
     .required = true,
     .of = {destination_type::snowflake},
     .complaint = not_empty,
     .set = put<destination, snowflake, &snowflake_destination::user>},
    {.path = "destination.private_key",
     .type = key_type::secret,
     .summary = "the user's private key, as PKCS#8 in PEM",
     .required = true,
     .of = {destination_type::snowflake},
     .complaint = pem_key,
     .set = put<destination, snowflake, &snowflake_destination::private_key>},
    {.path = "destination.passphrase",
     .type = key_type::secret,
     .summary = "the passphrase of an encrypted private key",
     .of = {destination_type::snowflake},
     .complaint = not_empty,
     .set = put<destination, snowflake, &snowflake_destination::passphrase>},
    {.path = "destination.database",
     .summary = "the database to write to",
     .required = true,
     .of = {destination_type::snowflake},
     .complaint = long_identifier,
     .set = put<destination, snowflake, &snowflake_destination::database>},
    {.path = "destination.schema",
     .summary = "the schema of the target tables",
     .fallback = "PUBLIC, or for duckdb that of the source",
     .fallback_is_toml = false,
     .of = {destination_type::snowflake, destination_type::duckdb},
     .complaint = long_identifier,
     .set = put_schema},
    {.path = "destination.landing_schema",
     .summary = "the schema of the tables that rows arrive in",
     .fallback = R"("ETL_SCHEMA")",
     .of = {destination_type::snowflake},
     .complaint = long_identifier,
     .set = put<destination, snowflake, &snowflake_destination::landing_schema>},
    {.path = "destination.warehouse",
     .summary = "the warehouse that runs DDL and MERGE",
     .fallback = "the user's default",
     .fallback_is_toml = false,
     .of = {destination_type::snowflake},
     .complaint = long_identifier,
     .set = put<destination, snowflake, &snowflake_destination::warehouse>},
    {.path = "destination.role",
     .summary = "the role to act as",
     .fallback = "the user's default",
     .fallback_is_toml = false,
     .of = {destination_type::snowflake},
     .complaint = long_identifier,
     .set = put<destination, snowflake, &snowflake_destination::role>},
    {.path = "destination.apply",
     .type = key_type::choice,
     .summary = "how rows that arrived get into the target tables",
     .fallback = R"("merge")",
     .of = {destination_type::snowflake},
     .choices = apply_modes,
     .set = put<destination, snowflake, &snowflake_destination::apply>},
    {.path = "destination.apply_every",
     .type = key_type::duration,
     .summary = "how often rows that arrived are merged, at most",
     .fallback = R"("1min")",
     .of = {destination_type::snowflake},
     .least = second,
     .most = 24 * hour,
     .set = put<destination, snowflake, &snowflake_destination::apply_every>},
    {.path = "destination.transport",
     .type = key_type::choice,
     .summary = "what carries rows: the official SDK, or REST",
     .fallback = R"("sdk")",
     .of = {destination_type::snowflake},
     .choices = transports,
     .set = put<destination, snowflake, &snowflake_destination::transport>},
    {.path = "destination.channels",
     .type = key_type::integer,
     .summary = "how many channels each table has",
     .fallback = "2",
     .of = {destination_type::snowflake},
     .least = 1,
     .most = 64,
     .set = put<destination, snowflake, &snowflake_destination::channels>},
    {.path = "destination.case",
     .type = key_type::choice,
     .summary = "how names of the source are written",
     .fallback = R"("preserve")",
     .of = {destination_type::snowflake},
     .choices = name_cases,
     .set = put<destination, snowflake, &snowflake_destination::name_case>},
    {.path = "destination.on_reject",
     .type = key_type::choice,
     .summary = "what becomes of rows that the service refuses",
     .fallback = R"("stop")",
     .of = {destination_type::snowflake},
     .choices = on_reject_choices,
     .set = put<destination, snowflake, &snowflake_destination::on_reject>},
    {.path = "destination.endpoint",
     .summary = "another address of the account, for a private link",
     .fallback = "https://ACCOUNT.snowflakecomputing.com",
     .fallback_is_toml = false,
     .of = {destination_type::snowflake},
     .complaint = https_address,
     .set = put<destination, snowflake, &snowflake_destination::endpoint>},
    {.path = "destination.ca_file",
     .summary = "certificate authorities to trust instead of the system's, in PEM",
     .of = {destination_type::snowflake},
     .complaint = not_empty,
     .set = put<destination, snowflake, &snowflake_destination::ca_file>},
    {.path = "destination.mode",
     .type = key_type::choice,
     .summary = "whether tables hold the current rows or every version of them",
     .fallback = R"("current")",
     .of = {destination_type::duckdb},
     .choices = row_keepings,
     .set = put<destination, duckdb, &duckdb_destination::mode>},
    {.path = "destination.module",
     .summary = "the Python module that takes the rows: a .py file, or a dotted name",
     .required = true,
     .of = {destination_type::python},
     .complaint = not_empty,
     .set = put<destination, python, &python_destination::module>},
    {.path = "destination.format",
     .type = key_type::choice,
     .summary = "how batches are handed to the module",
     .fallback = R"("arrow")",
     .of = {destination_type::python},
     .choices = batch_formats,
     .set = put<destination, python, &python_destination::format>},
    {.path = "destination.settings",
     .type = key_type::settings,
     .summary = "what the module's open() gets",
     .of = {destination_type::python},
     .set = put<destination, python, &python_destination::settings>},
    {.path = "destination.path",
     .summary = "the directory (or DuckDB file) to write to, or - for standard output",
     .required = true,
     .of = {destination_type::file, destination_type::duckdb},
     .complaint = not_empty,
     .set = put_path},
    {.path = "destination.compression",
     .type = key_type::choice,
     .summary = "how segments are compressed",
     .fallback = R"("none")",
     .of = {destination_type::file},
     .choices = compressions,
     .set = put<destination, file, &file_destination::compression>},
    {.path = "destination.segment_bytes",
     .type = key_type::size,
     .summary = "the size, before compression, at which a segment is closed",
     .fallback = R"("64MiB")",
     .of = {destination_type::file},
     .least = 64 * kib,
     .most = 16 * gib,
     .set = put<destination, file, &file_destination::segment_bytes>},
    {.path = "destination.operation_column",
     .summary = "the column that says what happened to the row",
     .fallback = R"("_etl_operation")",
     .of = has_metadata,
     .complaint = identifier,
     .set = put<destination, &destination_config::operation_column>},
    {.path = "destination.commit_time_column",
     .summary = "the column that holds the time of the source's commit",
     .fallback = R"("_etl_commit_time")",
     .of = has_metadata,
     .complaint = identifier,
     .set = put<destination, &destination_config::commit_time_column>},
    {.path = "destination.on_unrepresentable",
     .type = key_type::choice,
     .summary = "what becomes of values that the destination has no way to write",
     .fallback = R"("text")",
     .of = has_metadata,
     .choices = unrepresentables,
     .set = put<destination, &destination_config::on_unrepresentable>},
    {.path = "destination.columns",
     .type = key_type::columns,
     .summary = "columns that have an on_unrepresentable of their own",
     .of = has_metadata,
     .choices = unrepresentables,
     .set = put<destination, &destination_config::columns>},
    {.path = "destination.encoding",
     .type = key_type::choice,
     .summary = "how rows are encoded before they are thrown away",
     .fallback = R"("ndjson")",
     .of = {destination_type::null},
     .choices = null_encodings,
     .set = put<destination, &destination_config::null, &null_destination::encoding>},

    {.path = "copy.mode",
     .type = key_type::choice,
     .summary = "when the rows that a table already has are copied",
     .fallback = R"("when_new")",
     .choices = copy_modes,
     .set = put<copy, &copy_config::mode>},
    {.path = "copy.workers",
     .type = key_type::integer,
     .summary = "how many connections read chunks at a time",
     .fallback = "2",
     .least = 1,
     .most = 64,
     .set = put<copy, &copy_config::workers>},
    {.path = "copy.chunk_size",
     .type = key_type::size,
     .summary = "how much of a table is read at a time",
     .fallback = R"("8MiB")",
     .least = 64 * kib,
     .most = 64 * mib,
     .set = put<copy, &copy_config::chunk_size>},
    {.path = "copy.max_memory",
     .type = key_type::size,
     .summary = "how many bytes of chunks may wait in memory; not less than copy.chunk_size",
     .fallback = R"("64MiB")",
     .least = 64 * kib,
     .most = 64 * gib,
     .set = put<copy, &copy_config::max_memory>},
    {.path = "copy.existing_rows",
     .type = key_type::choice,
     .summary = "what to do when a destination table has rows before its first copy",
     .fallback = R"("error")",
     .choices = existing_rows_choices,
     .set = put<copy, &copy_config::existing_rows>},

    {.path = "batch.max_rows",
     .type = key_type::integer,
     .summary = "how many rows a batch may have",
     .fallback = "the destination's",
     .fallback_is_toml = false,
     .least = 1,
     .most = 100'000'000,
     .set = put<batch, &batch_config::max_rows>},
    {.path = "batch.max_bytes",
     .type = key_type::size,
     .summary = "how large a batch may become",
     .fallback = "the destination's",
     .fallback_is_toml = false,
     .least = 4 * kib,
     .most = 1 * gib,
     .set = put<batch, &batch_config::max_bytes>},
    {.path = "batch.max_fill",
     .type = key_type::duration,
     .summary = "how long rows may wait to be made durable",
     .fallback = "the destination's",
     .fallback_is_toml = false,
     .most = hour,
     .set = put<batch, &batch_config::max_fill>},

    {.path = "python.venv",
     .summary = "the virtual environment with the packages that Python destinations need",
     .fallback = "the one that etl-stream python setup makes",
     .fallback_is_toml = false,
     .complaint = not_empty,
     .set = put<&pipeline_config::python, &python_config::venv>},

    {.path = "state.url",
     .summary = "where the pipeline keeps how far its copy is",
     .fallback = "sqlite:$XDG_STATE_HOME/etl-stream/NAME.db",
     .fallback_is_toml = false,
     .complaint = state_url,
     .set = put_state},
};

template <class ToText>
std::string bounds(key const& which, std::string_view noun, ToText const& to_text) {
  return fmt::format("{} from {} to {}", noun, to_text(which.least), to_text(which.most));
}

}  // namespace

std::span<key const> keys() { return table; }

std::string_view name_of(destination_type type) { return destination_types[static_cast<std::size_t>(type)]; }

key const* find_key(std::string_view path) {
  auto const found = std::ranges::find(table, path, &key::path);
  return found == std::end(table) ? nullptr : found;
}

std::string describe_type(key const& which) {
  switch (which.type) {
    case key_type::text:
      return "text";
    case key_type::secret:
      return "secret";
    case key_type::boolean:
      return "true or false";
    case key_type::integer:
      return bounds(which, "integer", [](auto n) { return n; });
    case key_type::size:
      return bounds(which, "size", size_text);
    case key_type::duration:
      return bounds(which, "duration", [](auto n) { return duration_text(std::chrono::milliseconds(n)); });
    case key_type::tables:
      return "table names";
    case key_type::settings:
      return "table of secrets";
    case key_type::columns:
      return "table of columns";
    case key_type::choice:
      break;
  }
  auto const [last, rest] = std::pair(which.choices.back(), which.choices.first(which.choices.size() - 1));
  return fmt::format("{} or {}", fmt::join(rest, ", "), last);
}

}  // namespace etl::config
