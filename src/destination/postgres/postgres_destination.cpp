#include "destination/postgres/postgres_destination.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/log.hpp"
#include "destination/postgres/applier.hpp"
#include "destination/postgres/catalog.hpp"
#include "destination/postgres/session.hpp"
#include "destination/postgres/target.hpp"
#include "destination/postgres/types.hpp"
#include "pg/key_operators.hpp"

namespace etl::destination {

// A table that needs no change to take the relation's rows.
struct postgres::surveyed_table {
  model::relation_ptr table;
  bool partitioned = false;
  bool has_rows = false;
};

using namespace postgres;

namespace {

constexpr std::chrono::minutes between_warnings{1};
// Attempts at one batch that lose against other sessions (deadlocks) before the whole pipeline backs off.
constexpr unsigned most_conflicts = 3;

bool starts_with_one_of(std::string_view sqlstate, std::initializer_list<std::string_view> groups) {
  return std::any_of(groups.begin(), groups.end(), [&](auto group) { return sqlstate.starts_with(group); });
}

// What a server refused because of one table: its values (XX is what a type's function says that did not expect one),
// its constraints, its shape, the rights on it.
error about_table(error failure, model::relation const& table, pg::connection const& connection) {
  if (failure.table != 0 ||
      !starts_with_one_of(failure.sqlstate, {"0A", "21", "22", "23", "2B", "3F", "42", "44", "54", "XX"})) {
    return failure;
  }
  failure.kind = severity::data;
  failure.table = table.oid;
  if (failure.sqlstate == "22021" || failure.sqlstate == "22P05") {
    failure.code = "destination.encoding";
    failure.message =
        fmt::format("{}: a text cannot be written in {}, the destination's encoding (SQLSTATE {})", table.quoted_name(),
                    connection.parameter_status("server_encoding"), failure.sqlstate);
    failure.hint =
        "Correct the text at the source, or replicate to a database that has its letters (CREATE DATABASE … ENCODING "
        "'UTF8'). What an SQL_ASCII database holds need not be text at all: only another SQL_ASCII database takes that "
        "as it is.";
    return failure;
  }
  failure.code = "destination.refused";
  failure.message = fmt::format("{}: {}", table.quoted_name(), failure.message);
  if (!failure.hint.empty()) return failure;
  if (failure.sqlstate == "42501") {
    failure.hint = "Grant the destination's role what it lacks, or let it own the table.";
  } else if (starts_with_one_of(failure.sqlstate, {"42P01", "42704", "42883", "3F000"})) {
    failure.hint =
        "Make what is missing at the destination: the table itself, or what its values name (regclass, aclitem, …).";
  } else {
    failure.hint = "Compare the table with the source's: types, constraints, unique indexes, triggers.";
  }
  return failure;
}

}  // namespace

std::string postgres_lock_key(std::string const& pipeline) {
  return fmt::format("pg_catalog.hashtextextended({}, 0)", model::quote_literal("etl-stream pipeline " + pipeline));
}

postgres_destination::postgres_destination(postgres_options options) : options_(std::move(options)) {}
postgres_destination::~postgres_destination() = default;

capabilities const& postgres_destination::what_it_can() const {
  static constexpr capabilities can{
      .exactly_once = true,
      .keeps_documents = true,
      .fills_columns = true,
      .renames = true,
      .finds_by_value = true,
      .max_rows = 50'000,
      .max_bytes = std::size_t{8} << 20,
      .max_fill_ms = 200,
  };
  return can;
}

asio::awaitable<result<recovered>> postgres_destination::open() {
  co_await close();
  auto opened = co_await open_session(options_);
  if (!opened) co_return fail(std::move(opened));
  session_ = std::make_unique<session>(std::move(*opened));
  applier_ = std::make_unique<applier>(*session_->connection, options_.transfer);
  committed_ = durable_ = session_->progress.durable;
  // What was read may itself have been committed without waiting for the disk.
  unsynced_ = true;
  auto synced = co_await flush();
  if (!synced) co_return fail(std::move(synced));
  co_return std::move(session_->progress);
}

asio::awaitable<void> postgres_destination::close() {
  targets_.clear();
  surveyed_.clear();
  sequences_.clear();
  applier_.reset();
  session_.reset();
  in_transaction_ = false;
  unsynced_ = false;
  co_return;
}

// Nothing is refused here: what stands in the way of a table is for ensure_table() to say. Types that did not come with
// the server have to be compared one by one.
asio::awaitable<result<void>> postgres_destination::expect_tables(std::vector<model::relation_ptr> tables) {
  auto& connection = *session_->connection;
  std::vector<std::string> wanted;
  for (auto const& table : tables) std::ranges::move(wanted_types(*table), std::back_inserter(wanted));
  std::ranges::sort(wanted);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  auto types = co_await find_types(connection, std::move(wanted));
  if (!types) co_return fail(std::move(types));
  auto existing = co_await find_tables(connection, tables);
  if (!existing) co_return fail(std::move(existing));
  std::vector<std::pair<model::relation_ptr, char>> fitting;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (!(*existing)[i] || !tables[i]->types.empty()) continue;
    auto const changes = fit_table(*tables[i], *(*existing)[i], *types);
    if (changes && changes->empty()) fitting.emplace_back(tables[i], (*existing)[i]->kind);
  }
  auto rows = co_await find_rows(connection, fitting);
  if (!rows && connection.broken()) co_return fail(std::move(rows));
  if (!rows) co_return result<void>();
  for (std::size_t i = 0; i < fitting.size(); ++i) {
    surveyed_[fitting[i].first->oid] =
        std::make_unique<surveyed_table>(fitting[i].first, fitting[i].second == 'p', (*rows)[i]);
  }
  co_return result<void>();
}

asio::awaitable<result<table_state>> postgres_destination::ensure_table(table_change change) {
  if (auto const seen = surveyed_.find(change.table->oid); seen != surveyed_.end()) {
    auto const what = std::move(seen->second);
    surveyed_.erase(seen);
    bool const is_as_it_was =
        what->table == change.table && !change.documents && (!change.before || change.before->oid == change.table->oid);
    if (is_as_it_was) co_return co_await know(change.table, {.has_rows = what->has_rows}, what->partitioned);
  }
  auto& connection = *session_->connection;
  bool const joined = in_transaction_;
  auto labels = co_await add_labels(*change.table, change.table->types);
  if (!labels) co_return about_table(fail(std::move(labels)), *change.table, connection);
  auto begun = co_await connection.query(joined ? "SAVEPOINT etl_table" : "BEGIN", "beginning to fit a table");
  if (!begun) co_return fail(std::move(begun));
  auto fitted = co_await fit(change);
  if (fitted && change.documents) {
    if (auto kept = co_await keep(change.documents(fitted->stale)); !kept) fitted = fail(std::move(kept));
  }
  if (!fitted && connection.broken()) co_return fail(std::move(fitted));
  std::string end = fitted ? "COMMIT" : "ROLLBACK";
  if (joined)
    end = fitted ? "RELEASE SAVEPOINT etl_table" : "ROLLBACK TO SAVEPOINT etl_table; RELEASE SAVEPOINT etl_table";
  auto ended = co_await connection.query(std::move(end), "fitting a table");
  if (!fitted) co_return about_table(fail(std::move(fitted)), *change.table, connection);
  if (!ended) co_return about_table(fail(std::move(ended)), *change.table, connection);
  if (!joined) unsynced_ = true;
  co_return fitted;
}

asio::awaitable<result<void>> postgres_destination::keep(std::vector<model::document> const& documents) {
  for (auto const& document : documents) {
    auto kept = co_await session_->connection->query(
        "INSERT INTO etl_stream.progress (pipeline, key, value) VALUES ($1, $2, $3) "
        "ON CONFLICT (pipeline, key) DO UPDATE SET value = EXCLUDED.value",
        {options_.pipeline, document.key, document.value}, "keeping a table's schema");
    if (!kept) co_return fail(std::move(kept));
  }
  co_return result<void>();
}

asio::awaitable<result<void>> postgres_destination::alter(std::vector<alteration> const& changes) {
  auto& connection = *session_->connection;
  for (auto const& [sql, otherwise] : changes) {
    bool const has_other_way = !otherwise.empty();
    auto done =
        co_await connection.query(has_other_way ? "SAVEPOINT etl_change; " + sql : sql, "following the source's table");
    if (!done && has_other_way && !connection.broken()) {
      done =
          co_await connection.query("ROLLBACK TO SAVEPOINT etl_change; " + otherwise, "following the source's table");
    }
    if (!done) {
      auto failure = fail(std::move(done));
      failure.hint =
          fmt::format("It was to follow the source. At the destination, once what is in the way is gone: {};", sql);
      co_return failure;
    }
    if (!has_other_way) continue;
    if (auto released = co_await connection.query("RELEASE SAVEPOINT etl_change", "following the source's table");
        !released)
      co_return fail(std::move(released));
  }
  co_return result<void>();
}

asio::awaitable<result<void>> postgres_destination::take_over(model::relation const& before,
                                                              model::relation const& table) {
  auto& connection = *session_->connection;
  auto const schema = model::quote_identifier(table.schema);
  std::vector<alteration> changes;
  if (before.oid != table.oid) {
    if (!made_alike(before, table)) changes.push_back({"DROP TABLE " + table.quoted_name(), {}});
    co_return co_await alter(changes);
  }
  if (before.schema == table.schema && before.name == table.name) co_return result<void>();
  auto old_one = co_await find_table(connection, before);
  if (!old_one) co_return fail(std::move(old_one));
  if (!old_one->has_value()) co_return result<void>();
  auto taken = co_await find_table(connection, table);
  if (!taken) co_return fail(std::move(taken));
  if (taken->has_value()) {
    error failure{severity::data, "destination.name_taken",
                  fmt::format("{} was renamed to {} at the source, and the destination has something of that name",
                              before.quoted_name(), table.quoted_name()),
                  fmt::format("At the destination, rename or drop it: DROP TABLE {};", table.quoted_name())};
    failure.table = table.oid;
    co_return failure;
  }
  if (before.schema == table.schema) {
    changes.push_back(
        {fmt::format("ALTER TABLE {} RENAME TO {}", before.quoted_name(), model::quote_identifier(table.name)), {}});
  } else {
    // In either schema the other name may be taken.
    auto const passing = model::quote_identifier(fmt::format("etl_stream_moved_{}", table.oid));
    auto const old_schema = model::quote_identifier(before.schema);
    changes.push_back({fmt::format("CREATE SCHEMA IF NOT EXISTS {}", schema), {}});
    changes.push_back({fmt::format("ALTER TABLE {} RENAME TO {}", before.quoted_name(), passing), {}});
    changes.push_back({fmt::format("ALTER TABLE {}.{} SET SCHEMA {}", old_schema, passing, schema), {}});
    changes.push_back(
        {fmt::format("ALTER TABLE {}.{} RENAME TO {}", schema, passing, model::quote_identifier(table.name)), {}});
  }
  co_return co_await alter(changes);
}

asio::awaitable<result<table_state>> postgres_destination::fit(table_change const& change) {
  auto& connection = *session_->connection;
  auto const& table = change.table;
  bool const replaces = change.before && change.before->oid != table->oid;
  if (change.before) {
    if (auto taken = co_await take_over(*change.before, *table); !taken) co_return fail(std::move(taken));
  }
  auto existing = co_await find_table(connection, *table);
  if (!existing) co_return fail(std::move(existing));
  if (!existing->has_value() || lacks_columns(*table, **existing)) {
    if (auto made = co_await make_types(connection, *table); !made) co_return fail(std::move(made));
  }
  auto types = co_await find_types(connection, wanted_types(*table));
  if (!types) co_return fail(std::move(types));

  bool const partitioned = existing->has_value() && (*existing)->kind == 'p';
  table_state state;
  if (change.before && !replaces && existing->has_value()) {
    auto changes = follow_change(*change.before, *table, **existing, *types, change.copied_again);
    if (!changes) co_return fail(std::move(changes));
    for (auto const& column : table->columns) {
      bool const added = change.before->find_column(column.attribute_number) == nullptr;
      auto const there = std::ranges::find((*existing)->columns, column.name, &existing_table::column::name);
      bool const is_there =
          there != (*existing)->columns.end() &&
          std::ranges::find(change.before->columns, column.name, &model::column::name) == change.before->columns.end();
      state.stale = state.stale || (added && (is_there || (column.has_fill && !column.fill)));
    }
    if (!changes->empty()) {
      if (auto followed = co_await alter(*changes); !followed) co_return fail(std::move(followed));
      existing = co_await find_table(connection, *table);
      if (!existing) co_return fail(std::move(existing));
    }
  }
  std::string sql;
  if (!existing->has_value()) {
    auto create = create_table(*table, *types);
    if (!create) co_return fail(std::move(create));
    auto has_schema = co_await connection.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", {table->schema},
                                                "looking for a schema at the destination");
    if (!has_schema) co_return fail(std::move(has_schema));
    if (has_schema->empty()) sql = fmt::format("CREATE SCHEMA {}; ", model::quote_identifier(table->schema));
    sql += *create;
    state.created = true;
  } else {
    auto changes = fit_table(*table, **existing, *types);
    if (!changes) co_return fail(std::move(changes));
    sql = fmt::format("{}", fmt::join(*changes, "; "));
  }
  if (!sql.empty()) {
    sql = fmt::format("{}; {}", schema_lock, sql);
    auto changed = co_await connection.query(std::move(sql), "fitting the table to the source's");
    if (!changed) {
      auto failure = fail(std::move(changed));
      if (failure.sqlstate == "42883" && !table->computed.empty()) {
        failure.hint =
            "Generated columns are computed at the destination, too: make the functions that they use there.";
      }
      co_return failure;
    }
  }
  if (!state.created) {
    auto rows = co_await connection.query(
        fmt::format("SELECT EXISTS (SELECT 1 FROM {}{})", partitioned ? "" : "ONLY ", table->quoted_name()),
        "looking for rows");
    if (!rows) co_return fail(std::move(rows));
    state.has_rows = rows->flag(0, 0);
  }
  co_return co_await know(table, state, partitioned);
}

asio::awaitable<result<table_state>> postgres_destination::know(model::relation_ptr table, table_state state,
                                                                bool partitioned) {
  auto equals = co_await pg::find_key_operators(*session_->connection, *table);
  if (!equals) co_return fail(std::move(equals));
  targets_[table->oid] = std::make_unique<target>(table, options_.transfer, partitioned, std::move(*equals));
  co_return state;
}

// In a transaction of its own, even amid one of the source's: a new label may be used only once it is committed
// (PostgreSQL manual, ALTER TYPE, "Notes").
asio::awaitable<result<std::size_t>> postgres_destination::add_labels(
    model::relation const& table, std::vector<model::type_definition> const& types) {
  auto statements = co_await missing_labels(*session_->connection, table, types);
  if (!statements) co_return fail(std::move(statements));
  if (statements->empty()) co_return std::size_t{0};
  auto* connection = session_->connection.get();
  std::unique_ptr<pg::connection> another;
  if (in_transaction_) {
    auto how = session_access(options_);
    how.admit = {};  // for a moment; waiting for a place while holding one could last for ever
    auto connected = co_await pg::connection::connect(std::move(how));
    if (!connected) co_return fail(std::move(connected));
    another = std::move(*connected);
    connection = another.get();
  }
  auto const sql = fmt::format("{}", fmt::join(*statements, "; "));
  auto added = co_await connection->query(sql, "adding labels to an enum at the destination");
  if (!added) {
    auto failure = fail(std::move(added));
    if (failure.sqlstate == "42501")
      failure.hint = fmt::format("Let the type's owner run at the destination: {};", sql);
    co_return failure;
  }
  log::info("labels added to enums at the destination", {{"pipeline", options_.pipeline},
                                                         {"table", table.quoted_name()},
                                                         {"labels", static_cast<std::int64_t>(statements->size())}});
  co_return statements->size();
}

asio::awaitable<result<bool>> postgres_destination::learn_labels(error const& failure) {
  auto const* const failed = applier_->failed().table;
  if (failure.sqlstate != "22P02" || failed == nullptr || failed->table->types.empty() || !options_.types_now) {
    co_return false;
  }
  auto const table = failed->table;
  auto types = co_await options_.types_now(table);
  if (!types) co_return fail(std::move(types));
  auto added = co_await add_labels(*table, *types);
  if (!added) co_return about_table(fail(std::move(added)), *table, *session_->connection);
  co_return *added > 0;
}

asio::awaitable<result<void>> postgres_destination::know_tables(model::batch const& batch) {
  std::vector<model::relation_ptr> unknown;
  auto const look = [&](model::relation_ptr const& table) {
    auto const known = targets_.find(table->oid);
    if (known == targets_.end() || known->second->table->version != table->version) unknown.push_back(table);
  };
  for (auto const& step : batch.steps) {
    if (auto const* truncation = std::get_if<model::truncation>(&step)) {
      std::for_each(truncation->tables.begin(), truncation->tables.end(), look);
    } else {
      look(std::get<model::table_rows>(step).table);
    }
  }
  for (auto const& table : unknown)
    if (auto ensured = co_await ensure_table(table); !ensured) co_return fail(std::move(ensured));
  co_return result<void>();
}

asio::awaitable<result<void>> postgres_destination::write(model::batch& batch) {
  if (auto known = co_await know_tables(batch); !known) co_return fail(std::move(known));
  conflicts_ = 0;
  bool const joined = in_transaction_;
  for (;;) {
    auto applied = co_await apply(batch);
    if (applied) break;
    auto failure = fail(std::move(applied));
    if (session_->connection->broken()) co_return failure;
    if (auto back = co_await roll_back(joined); !back) co_return fail(std::move(back));
    if (try_another_way(failure)) continue;
    auto learned = co_await learn_labels(failure);
    if (!learned) co_return fail(std::move(learned));
    if (*learned) continue;
    if (failure.sqlstate == "23502" && applier_->failed().table != nullptr) {
      auto allowed = co_await allow_nulls(*applier_->failed().table->table);
      if (!allowed) co_return fail(std::move(allowed));
      if (*allowed) continue;
    }
    if (auto const* const table = applier_->failed().table; table != nullptr) {
      failure = about_table(std::move(failure), *table->table, *session_->connection);
    }
    // A constraint that was checked at the commit: nobody knows which table to go on without.
    if (failure.kind == severity::data && failure.table == 0) failure.kind = severity::config;
    co_return failure;
  }
  settle(batch);
  co_return result<void>();
}

asio::awaitable<result<void>> postgres_destination::apply(model::batch const& batch) {
  bool const joined = in_transaction_;
  applier_->start_batch();
  applier_->queue(joined ? "SAVEPOINT etl_batch" : "BEGIN");
  in_transaction_ = true;
  for (auto const& step : batch.steps) {
    if (auto const* truncation = std::get_if<model::truncation>(&step)) {
      std::vector<target*> tables;
      for (auto const& table : truncation->tables) tables.push_back(targets_[table->oid].get());
      applier_->truncate(tables, *truncation, truncate_by_deleting_);
      continue;
    }
    auto const& segment = std::get<model::table_rows>(step);
    if (auto done = co_await applier_->rows(*targets_[segment.table->oid], segment); !done)
      co_return fail(std::move(done));
  }
  if (auto queued = queue_documents(batch); !queued) co_return fail(std::move(queued));
  if (batch.ends_transaction) {
    position_text_ = std::max(committed_, batch.last).to_text();
    applier_->queue(
        "INSERT INTO etl_stream.progress (pipeline, key, value) VALUES ($1, $2, $3) "
        "ON CONFLICT (pipeline, key) DO UPDATE SET value = EXCLUDED.value",
        {options_.pipeline, position_key, position_text_});
    applier_->queue("COMMIT");
  } else if (joined) {
    applier_->queue("RELEASE SAVEPOINT etl_batch");
  }
  co_return co_await applier_->send();
}

result<void> postgres_destination::queue_documents(model::batch const& batch) {
  for (auto const& document : batch.documents) {
    if (document.key == position_key) {
      return error{severity::bug, "destination.document_key", fmt::format("a document is called \"{}\"", position_key)};
    }
    if (document.value.empty()) {
      applier_->queue("DELETE FROM etl_stream.progress WHERE pipeline = $1 AND key = $2",
                      {options_.pipeline, document.key});
    } else {
      applier_->queue(
          "INSERT INTO etl_stream.progress (pipeline, key, value) VALUES ($1, $2, $3) "
          "ON CONFLICT (pipeline, key) DO UPDATE SET value = EXCLUDED.value",
          {options_.pipeline, document.key, document.value});
    }
  }
  return result<void>();
}

// Back to where the batch began, which may be inside a transaction (`joined`).
asio::awaitable<result<void>> postgres_destination::roll_back(bool joined) {
  auto done = co_await session_->connection->query(
      fmt::format("{}; DEALLOCATE ALL",
                  joined ? "ROLLBACK TO SAVEPOINT etl_batch; RELEASE SAVEPOINT etl_batch" : "ROLLBACK"),
      "rolling a batch back");
  if (!done) co_return fail(std::move(done));
  in_transaction_ = joined;
  applier_->rolled_back();
  for (auto& [oid, table] : targets_) {
    table->staged = false;
    table->repaired = 0;
    table->lost = 0;
  }
  co_return result<void>();
}

// A NOT NULL that the source has given up: no message of the stream tells of that, but a row that has no value does.
asio::awaitable<result<bool>> postgres_destination::allow_nulls(model::relation const& table) {
  auto existing = co_await find_table(*session_->connection, table);
  if (!existing) co_return fail(std::move(existing));
  std::vector<alteration> changes;
  if (existing->has_value()) {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      auto const& name = table.columns[i].name;
      auto const there = std::ranges::find((*existing)->columns, name, &existing_table::column::name);
      bool const in_key = std::ranges::find(table.key, i) != table.key.end();
      if (in_key || there == (*existing)->columns.end() || !there->not_null) continue;
      changes.push_back({fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", table.quoted_name(),
                                     model::quote_identifier(name)),
                         {}});
    }
  }
  if (changes.empty()) co_return false;
  if (auto done = co_await alter(changes); !done) co_return fail(std::move(done));
  co_return true;
}

// Whether the batch may go through when its rows take a more careful way.
bool postgres_destination::try_another_way(error const& failure) {
  if (starts_with_one_of(failure.sqlstate, {"40"})) return ++conflicts_ <= most_conflicts;
  auto const& failed = applier_->failed();
  if (failed.truncation && failure.sqlstate == "0A000" && !truncate_by_deleting_) {
    truncate_by_deleting_ = true;
    return true;
  }
  if (failure.sqlstate != "23505" || failed.table == nullptr || failed.table->table->key.empty()) return false;
  switch (failed.way) {
    case route::plain:
      failed.table->merging = applier::careful_segments;
      return true;
    case route::merge:
      failed.table->replacing = true;
      return true;
    case route::replace:
      failed.table->replacing = false;
      return false;
  }
  return false;
}

void postgres_destination::settle(model::batch const& batch) {
  if (batch.ends_transaction) {
    in_transaction_ = false;
    committed_ = std::max(committed_, batch.last);
    unsynced_ = true;
  }
  for (auto const& step : batch.steps) {
    auto const* const segment = std::get_if<model::table_rows>(&step);
    if (segment == nullptr) continue;
    totals_.rows += segment->rows.size();
    totals_.bytes += segment->bytes.size();
    auto const known = targets_.find(segment->table->oid);
    if (known == targets_.end()) continue;
    auto& table = *known->second;
    // Counted here, not while a batch is applied: its next attempt must not come back to a way that has failed.
    if (table.merging > 0) --table.merging;
    table.replacing = false;
    tell_differences(table);
  }
}

void postgres_destination::tell_differences(target& table) {
  if (table.repaired == 0) return;
  totals_.repaired += table.repaired;
  auto const now = std::chrono::steady_clock::now();
  if (now >= table.silent_until) {
    table.silent_until = now + between_warnings;
    log::warning("rows at the destination were not as the source left them; repaired where possible",
                 {{"pipeline", options_.pipeline},
                  {"table", table.sql.name()},
                  {"rows", static_cast<std::int64_t>(table.repaired)},
                  {"missing", static_cast<std::int64_t>(table.lost)}});
  }
  table.repaired = 0;
  table.lost = 0;
}

asio::awaitable<result<void>> postgres_destination::set_sequences(std::vector<model::sequence> sequences) {
  return postgres::set_sequences(*session_->connection, std::move(sequences), sequences_);
}

asio::awaitable<result<position>> postgres_destination::flush() {
  // Inside an open transaction nothing can be added to what is committed; what is known to be durable stays so.
  if (!unsynced_ || in_transaction_) co_return durable_;
  auto synced = co_await session_->connection->query(
      fmt::format("BEGIN; SET LOCAL synchronous_commit = '{}'; "
                  "INSERT INTO etl_stream.progress (pipeline, key, value) VALUES ({}, '{}', '{}') "
                  "ON CONFLICT (pipeline, key) DO UPDATE SET value = EXCLUDED.value; COMMIT",
                  session_->durable_commit, model::quote_literal(options_.pipeline), position_key,
                  committed_.to_text()),
      "making rows durable at the destination");
  if (!synced) co_return fail(std::move(synced));
  durable_ = committed_;
  unsynced_ = false;
  co_return durable_;
}

}  // namespace etl::destination
