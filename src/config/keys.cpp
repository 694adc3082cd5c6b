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

std::string_view not_empty(std::string_view text) { return text.empty() ? "a text that is not empty" : ""; }

constexpr std::string_view sqlite_scheme = "sqlite:";

std::string_view state_url(std::string_view text) {
  return text.starts_with(sqlite_scheme) && text.size() > sqlite_scheme.size() ? "" : "sqlite: and the path of a file";
}

void put_state(pipeline_config& into, key_value&& value) {
  into.state.sqlite_path = std::get<std::string>(value).substr(sqlite_scheme.size());
}

constexpr std::int64_t second = 1'000;
constexpr std::int64_t hour = 3'600 * second;
constexpr std::int64_t kib = 1 << 10;
constexpr std::int64_t mib = 1 << 20;
constexpr std::int64_t gib = 1 << 30;

// Each in the order of its enum.
constexpr std::string_view binary_modes[] = {"auto", "on", "off"};
constexpr std::string_view destination_types[] = {"postgres", "file", "null"};
constexpr std::string_view compressions[] = {"none", "gzip", "zstd"};
constexpr std::string_view null_encodings[] = {"ndjson", "none"};
constexpr std::string_view copy_modes[] = {"when_new", "always", "never"};
constexpr std::string_view existing_rows_choices[] = {"error", "replace", "keep"};

constexpr auto source = &pipeline_config::source;
constexpr auto destination = &pipeline_config::destination;
constexpr auto postgres = &destination_config::postgres;
constexpr auto file = &destination_config::file;
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
     .of = belongs_to::postgres,
     .complaint = connection,
     .set = put<destination, postgres, &postgres_destination::url>},
    {.path = "destination.password",
     .type = key_type::secret,
     .summary = "the password, kept apart from the URL",
     .of = belongs_to::postgres,
     .complaint = not_empty,
     .set = put<destination, postgres, &postgres_destination::password>},
    {.path = "destination.path",
     .summary = "the directory to write to, or - for standard output",
     .required = true,
     .of = belongs_to::file,
     .complaint = not_empty,
     .set = put<destination, file, &file_destination::path>},
    {.path = "destination.compression",
     .type = key_type::choice,
     .summary = "how segments are compressed",
     .fallback = R"("none")",
     .of = belongs_to::file,
     .choices = compressions,
     .set = put<destination, file, &file_destination::compression>},
    {.path = "destination.segment_bytes",
     .type = key_type::size,
     .summary = "the size, before compression, at which a segment is closed",
     .fallback = R"("64MiB")",
     .of = belongs_to::file,
     .least = 64 * kib,
     .most = 16 * gib,
     .set = put<destination, file, &file_destination::segment_bytes>},
    {.path = "destination.operation_column",
     .summary = "the column that says what happened to the row",
     .fallback = R"("_etl_operation")",
     .of = belongs_to::file,
     .complaint = identifier,
     .set = put<destination, file, &file_destination::operation_column>},
    {.path = "destination.commit_time_column",
     .summary = "the column that holds the time of the source's commit",
     .fallback = R"("_etl_commit_time")",
     .of = belongs_to::file,
     .complaint = identifier,
     .set = put<destination, file, &file_destination::commit_time_column>},
    {.path = "destination.encoding",
     .type = key_type::choice,
     .summary = "how rows are encoded before they are thrown away",
     .fallback = R"("ndjson")",
     .of = belongs_to::null,
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
    case key_type::choice:
      break;
  }
  auto const [last, rest] = std::pair(which.choices.back(), which.choices.first(which.choices.size() - 1));
  return fmt::format("{} or {}", fmt::join(rest, ", "), last);
}

}  // namespace etl::config
