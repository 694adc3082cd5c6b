#include "destination/postgres/session.hpp"

#include <fmt/format.h>

#include "base/log.hpp"
#include "destination/postgres/catalog.hpp"
#include "model/relation.hpp"

namespace etl::destination::postgres {
namespace {

std::vector<std::pair<std::string, std::string>> session_settings() {
  auto settings = pg::canonical_text_settings();
  settings.insert(settings.end(), {
                                      {"client_min_messages", "error"},
                                      {"default_transaction_isolation", "read committed"},
                                      {"default_transaction_read_only", "off"},
                                      {"default_transaction_deferrable", "off"},
                                      // Rows are found by their key, however large the table is and whatever the
                                      // planner thinks of a staging table that nobody has analysed.
                                      {"enable_hashjoin", "off"},
                                      {"enable_mergejoin", "off"},
                                      {"plan_cache_mode", "force_generic_plan"},
                                  });
  return settings;
}

asio::awaitable<result<void>> take_lock(pg::connection& connection, postgres_options const& options) {
  auto const key = postgres_lock_key(options.pipeline);
  auto locked = co_await connection.query(
      fmt::format("SET lock_timeout = {}; SELECT pg_catalog.pg_advisory_lock({}); SET lock_timeout = 0",
                  options.lock_wait.count(), key),
      "taking the pipeline's lock at the destination");
  if (locked) co_return result<void>();
  if (locked.error().sqlstate != "55P03") co_return fail(std::move(locked));

  auto holder = co_await connection.query(
      fmt::format("SELECT l.pid, a.application_name FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid) "
                  "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
                  "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                  "AND (l.classid::int8 << 32 | l.objid::int8) = {}",
                  key),
      "finding who holds the pipeline's lock at the destination");
  std::string const who = holder && !holder->empty()
                              ? fmt::format(" (backend {}, {})", holder->text(0, 0), holder->text(0, 1))
                              : std::string();
  co_return error{severity::config, "destination.in_use",
                  fmt::format("another process writes to this destination as pipeline \"{}\"{}", options.pipeline, who),
                  "Stop it, or give this pipeline another name."};
}

asio::awaitable<result<void>> make_schema(pg::connection& connection) {
  auto found = co_await connection.query("SELECT pg_catalog.to_regclass('etl_stream.progress') IS NOT NULL",
                                         "looking for etl_stream.progress");
  if (!found) co_return fail(std::move(found));
  if (found->flag(0, 0)) co_return result<void>();
  // One pipeline at a time: CREATE … IF NOT EXISTS fails when two sessions create at once.
  auto made = co_await connection.query(
      fmt::format("BEGIN; {}; CREATE SCHEMA IF NOT EXISTS etl_stream; "
                  // Room in the page for the versions that a row updated by every batch leaves behind.
                  "CREATE TABLE IF NOT EXISTS etl_stream.progress "
                  "(pipeline text, key text, value text NOT NULL, PRIMARY KEY (pipeline, key)) WITH (fillfactor = 20); "
                  "COMMIT",
                  schema_lock),
      "creating the schema etl_stream");
  if (made) co_return result<void>();
  auto failure = fail(std::move(made));
  if (failure.sqlstate == "42501") {
    failure.hint =
        "Let the role create schemas (GRANT CREATE ON DATABASE … TO …), or create the schema etl_stream for it.";
  }
  co_return failure;
}

asio::awaitable<result<recovered>> read_progress(pg::connection& connection, std::string const& pipeline) {
  auto found = co_await connection.query("SELECT key, value FROM etl_stream.progress WHERE pipeline = $1", {pipeline},
                                         "reading the progress");
  if (!found) co_return fail(std::move(found));
  recovered progress;
  for (std::size_t i = 0; i < found->size(); ++i) {
    if (found->text(i, 0) != position_key) {
      progress.documents.push_back({std::string(found->text(i, 0)), std::string(found->text(i, 1))});
      continue;
    }
    auto const stored = position::parse(found->text(i, 1));
    if (!stored) {
      co_return error{
          severity::config, "destination.progress_unreadable",
          fmt::format("the position of pipeline \"{}\" in etl_stream.progress is no position", pipeline),
          "Somebody changed it. Put the right one back, or delete the pipeline's rows there and copy again."};
    }
    progress.durable = *stored;
  }
  co_return progress;
}

}  // namespace

pg::connect_options session_access(postgres_options const& options) {
  auto how = options.server;
  for (auto& setting : session_settings()) how.settings.push_back(std::move(setting));
  return how;
}

asio::awaitable<result<session>> open_session(postgres_options const& options) {
  auto how = session_access(options);
  session opened;
  auto connected = co_await pg::connection::connect(std::move(how));
  if (!connected) co_return fail(std::move(connected));
  opened.connection = std::move(*connected);
  auto& connection = *opened.connection;

  auto facts = co_await connection.query("SELECT pg_is_in_recovery(), current_setting('synchronous_commit')",
                                         "asking the destination for its settings");
  if (!facts) co_return fail(std::move(facts));
  if (facts->flag(0, 0)) {
    co_return error{severity::config, "destination.read_only",
                    "the destination server is a standby: it takes no writes",
                    "Point the url at the primary; target_session_attrs=read-write with several hosts finds it."};
  }
  // With `off` even a committed row may be lost in a crash. Progress must not be confirmed on such terms.
  opened.durable_commit = facts->text(0, 1) == "off" ? "local" : std::string(facts->text(0, 1));

  if (auto locked = co_await take_lock(connection, options); !locked) co_return fail(std::move(locked));
  if (auto made = co_await make_schema(connection); !made) co_return fail(std::move(made));
  auto progress = co_await read_progress(connection, options.pipeline);
  if (!progress) co_return fail(std::move(progress));
  opened.progress = std::move(*progress);

  // Rows and progress are in one transaction, so a crash of the destination that loses one loses both; flush() is what
  // makes them durable.
  if (auto set = co_await connection.query("SET synchronous_commit = off", "setting the session up"); !set) {
    co_return fail(std::move(set));
  }
  // The session may wait for long, and a transaction may be as long as the source's longest.
  auto const version = connection.server_version();
  for (auto const& [since, setting] : {std::pair{140'000, "idle_session_timeout"}, {170'000, "transaction_timeout"}}) {
    if (version < since) continue;
    auto set = co_await connection.query(fmt::format("SET {} = 0", setting), "setting the session up");
    if (!set) co_return fail(std::move(set));
  }
  // Triggers and foreign keys did their work at the source.
  auto const replica = co_await connection.query("SET session_replication_role = replica", "setting the session up");
  if (!replica && connection.broken()) co_return replica.error();
  if (!replica) {
    log::info("the destination's triggers and foreign keys stay active: the role may not set session_replication_role",
              {{"pipeline", options.pipeline}});
  }
  co_return opened;
}

}  // namespace etl::destination::postgres
