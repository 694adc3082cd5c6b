// Before the stream: what session::prepare() does, without the slot.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/log.hpp"
#include "destination/factory.hpp"
#include "destination/postgres/postgres_destination.hpp"
#include "pg/type_definitions.hpp"
#include "pipeline/session.hpp"
#include "runtime/pause.hpp"

namespace etl::pipeline {
namespace {

using std::chrono::milliseconds;

bool has_column(model::relation const& table, config::column_config const& named) {
  return table.schema == named.schema && table.name == named.table &&
         std::any_of(table.columns.begin(), table.columns.end(), [&](auto const& c) { return c.name == named.column; });
}

// "updates, deletes": what a publication of this table does not carry.
std::string unpublished(catalog::table::events const& published) {
  std::string list;
  auto const name = [&](bool carried, std::string_view event) {
    if (!carried) list += fmt::format("{}{}", list.empty() ? "" : ", ", event);
  };
  name(published.inserts, "inserts");
  name(published.updates, "updates");
  name(published.deletes, "deletes");
  name(published.truncates, "truncates");
  return list;
}

bool has_row_types(model::relation const& table) {
  return std::any_of(table.types.begin(), table.types.end(),
                     [](auto const& type) { return type.kind == 'c' && type.create.empty(); });
}

encode::ndjson_options ndjson_options_of(config::pipeline_config const& config,
                                         destination::destination const& destination) {
  encode::ndjson_options options;
  options.position_name = config.destination.position_column;
  options.operation_name = config.destination.operation_column;
  options.commit_time_name = config.destination.commit_time_column;
  options.on_unrepresentable = destination::policies_of(config.destination);
  destination.adapt(options);
  return options;
}

// A column that is called like one that the destination adds to the rows. (DuckDB and
// Snowflake take some names that differ to be the same, and see to it themselves.)
result<void> check_column_names(config::pipeline_config const& config, model::relation const& table) {
  auto const& destination = config.destination;
  using enum config::destination_type;
  if (destination.type != file && destination.type != python) return result<void>();
  std::initializer_list<std::pair<std::string_view, std::string_view>> const taken{
      {destination.position_column, "destination.position_column"},
      {destination.operation_column, "destination.operation_column"},
      {destination.commit_time_column, "destination.commit_time_column"},
      {"_etl_old_key", ""},
      {destination.type == file ? "" : "_etl_unchanged", ""}};
  for (auto const& column : table.columns) {
    for (auto const& [name, key] : taken) {
      if (column.name != name) continue;
      error failure{severity::data, "destination.column_name",
                    fmt::format("{}: column {} has the name of a column that this destination adds to every row",
                                table.quoted_name(), model::quote_identifier(column.name))};
      failure.hint = key.empty() ? "Rename it at the source, or leave it out of the publication."
                                 : fmt::format("Set {} to another name.", key);
      failure.table = table.oid;
      return failure;
    }
  }
  return result<void>();
}

}  // namespace

asio::awaitable<result<void>> session::prepare() {
  auto kept = co_await store_.all();
  if (!kept) co_return fail(std::move(kept));
  for (auto& entry : *kept) documents_[entry.key] = entry.value;
  if (auto const at = documents_.find(std::string(pipeline_document::key)); at != documents_.end()) {
    auto parsed = pipeline_document::parse(at->second);
    if (!parsed) {
      co_return error{severity::config, "state.unreadable",
                      fmt::format("the state of pipeline {} cannot be read", config().name),
                      fmt::format("It is not from this program, or damaged: look at {}.", config().state.sqlite_path)};
    }
    document_ = std::move(*parsed);
    has_document_ = true;
  }

  auto connected = co_await pg::connection::connect(source_access(false));
  if (!connected) co_return fail(std::move(connected));
  auto& source = **connected;
  if (auto checked = co_await check_server(source); !checked) co_return checked;
  auto tables = co_await choose_tables(source);
  if (!tables) co_return fail(std::move(tables));
  if (auto opened = co_await open_destination(*tables); !opened) co_return opened;
  if (auto apart = co_await check_apart(source); !apart) co_return apart;
  if (auto ready = co_await prepare_slot(source); !ready) co_return ready;

  ++document_.epoch;
  if (auto saved = co_await save_document(); !saved) co_return saved;

  auto const can = destination_->what_it_can();
  auto const limits =
      batch_limits{config().batch.max_rows.value_or(can.max_rows), config().batch.max_bytes.value_or(can.max_bytes)};
  auto const executor = co_await asio::this_coro::executor;
  core_ = std::make_unique<home>(life_, executor, *destination_, store_, source_access(false), limits);
  core_->server = server_;
  core_->publications = publication_names();
  core_->recovered = recovered_.durable;
  core_->delivered = recovered_.durable;
  core_->furthest = recovered_.durable;
  core_->last_commit = recovered_.durable.commit;
  core_->epoch = document_.epoch;
  core_->received = document_.confirmed;
  core_->feedback.received(document_.confirmed);

  std::vector<copier::worker_place> places;
  for (unsigned i = 0; i < config().copy.workers; ++i) {
    places.push_back({around_.worker_cores[i % around_.worker_cores.size()], source_access(false)});
  }
  copier_ =
      std::make_unique<copier>(*core_, around_.home_core, std::move(places), ndjson_options_of(config(), *destination_),
                               [this](std::uint32_t oid) { return discover(oid); });
  core_->on_room = [this] { copier_->emit_ready(); };

  if (server_.commits_may_wait) {
    // What runs now may have been emitted by an earlier attempt: its commits are not remembered.
    auto now = co_await source.query("SELECT pg_current_snapshot(), age('3'::xid)::bigint + 3", "taking a snapshot");
    if (!now) co_return fail(std::move(now));
    auto const snapshot = replication::snapshot::parse(now->text(0, 0));
    if (!snapshot) co_return error{severity::bug, "copy.snapshot", "the server's snapshot cannot be read"};
    core_->reconciler.recording_began(*snapshot, static_cast<std::uint32_t>(now->integer(0, 1)));
  }
  read_progress();
  std::vector<model::relation_ptr> expected;
  for (auto const& table : *tables) expected.push_back(table.relation);
  if (auto looked = co_await destination_->expect_tables(std::move(expected)); !looked) co_return looked;
  auto const present = co_await catalog::look_at_present(source);
  if (!present) co_return fail(result(present));
  auto const names_held = names_of_others(*tables);
  for (auto& table : *tables) {
    auto const& relation = *table.relation;
    if (auto const held = names_held.find(relation.quoted_name());
        held != names_held.end() && held->second != relation.oid) {
      // A new table has the name of one that was renamed, which has to give it up first.
      core_->saw({relation.oid, std::move(table), present->end, nullptr});
      continue;
    }
    if (auto adopted = co_await adopt_table(std::move(table), *present); !adopted) co_return adopted;
  }
  if (around_.once) {
    auto at = co_await catalog::current_wal_position(source);
    if (!at) co_return fail(std::move(at));
    fence_ = replication::fence_of(*at, server_.block_size, server_.segment_size);
  }
  co_return result<void>();
}

asio::awaitable<result<void>> session::check_server(pg::connection& source) {
  if (source.server_version() < 140000) {
    co_return error{
        severity::config, "source.version",
        fmt::format("the source runs PostgreSQL {}, but 14 is the oldest that works", source.server_version() / 10000),
        "Upgrade the server."};
  }
  auto facts = co_await catalog::describe_server(source);
  if (!facts) co_return fail(std::move(facts));
  server_ = std::move(*facts);
  if (server_.wal_level != "logical") {
    co_return error{severity::config, "source.wal_level",
                    fmt::format("the source's wal_level is {}; logical replication needs logical", server_.wal_level),
                    "Run ALTER SYSTEM SET wal_level = 'logical'; and restart the server."};
  }
  if (config().source.failover_slot && server_.version < 170000) {
    co_return error{severity::config, "source.failover_slot",
                    fmt::format("the source runs PostgreSQL {}, but slots that outlive a failover exist from 17 on",
                                server_.version / 10000),
                    "Remove source.failover_slot."};
  }
  auto role = co_await source.query(
      "SELECT rolsuper OR rolreplication OR EXISTS (SELECT 1 FROM pg_auth_members m JOIN pg_roles g ON g.oid = "
      "m.roleid "
      "  WHERE m.member = r.oid AND g.rolname IN ('rds_replication', 'cloudsqlsuperuser', 'azure_pg_admin')), "
      "r.rolname "
      "FROM pg_roles r WHERE r.rolname = current_user",
      "reading the role's rights");
  if (!role) co_return fail(std::move(role));
  if (!role->empty() && !role->flag(0, 0)) {
    co_return error{
        severity::config, "source.replication_privilege",
        fmt::format("the role {} may not replicate", role->text(0, 1)),
        fmt::format("Let a superuser run: ALTER ROLE {} REPLICATION;", model::quote_identifier(role->text(0, 1)))};
  }

  auto replication = co_await pg::connection::connect(source_access(true));
  if (!replication) {
    auto failure = fail(std::move(replication));
    if (failure.sqlstate == "53300") {
      failure.kind = life_.has_run ? severity::retry : severity::config;
      failure.code = "source.no_sender_left";
      failure.hint = "Every WAL sender is in use: raise max_wal_senders (and restart the server), or end one.";
    }
    co_return failure;
  }
  replication_ = std::move(*replication);
  auto identity = co_await replication_->query("IDENTIFY_SYSTEM", "identifying the server");
  if (!identity) co_return fail(std::move(identity));
  std::string const system(identity->text(0, 0));
  if (has_document_ && (system != document_.system_identifier || server_.database != document_.database)) {
    co_return error{
        severity::config, "source.other_server",
        fmt::format("the state of pipeline {} belongs to database {} of another server (system identifier {}); the "
                    "source is now database {} with {}",
                    config().name, document_.database, document_.system_identifier, server_.database, system),
        fmt::format("Put the old url back, or give the pipeline another name. To begin anew with this server, remove "
                    "{} and the destination's progress.",
                    config().state.sqlite_path)};
  }
  document_.system_identifier = system;
  document_.database = server_.database;
  co_return result<void>();
}

asio::awaitable<result<std::vector<catalog::table>>> session::choose_tables(pg::connection& source) {
  auto there = co_await catalog::find_publications(source, publication_names());
  if (!there) co_return fail(std::move(there));
  if (there->empty()) {
    if (auto made = co_await make_publication(source); !made) co_return fail(std::move(made));
  } else if (auto extended = co_await extend_publication(source, *there); !extended) {
    co_return fail(std::move(extended));
  }
  if (auto told = co_await tell_left_alone(source); !told) co_return fail(std::move(told));
  auto tables = co_await catalog::published_tables(source, publication_names());
  if (!tables) co_return fail(std::move(tables));
  std::erase_if(*tables,
                [&](auto const& t) { return !config().source.tables.matches(t.relation->schema, t.relation->name); });
  if (tables->empty()) {
    co_return error{
        severity::config, "source.no_tables",
        fmt::format("publication {} has no table that this pipeline could replicate", config().source.publication),
        "Compare source.tables with SELECT * FROM pg_publication_tables."};
  }
  for (auto const& named : config().destination.columns) {
    if (std::any_of(tables->begin(), tables->end(), [&](auto const& t) { return has_column(*t.relation, named); }))
      continue;
    co_return error{severity::config, "destination.no_such_column",
                    fmt::format("destination.columns names {}.{}.{}, and no replicated table has that column",
                                model::quote_identifier(named.schema), model::quote_identifier(named.table),
                                model::quote_identifier(named.column)),
                    "Correct the name; names in double quotes keep their case."};
  }
  for (auto const& table : *tables) {
    auto const missing = unpublished(table.published);
    if (missing.empty()) continue;
    log::warning("the publication leaves out changes of this table, and so does the destination",
                 {{"pipeline", config().name},
                  {"table", table.relation->quoted_name()},
                  {"left_out", std::string_view(missing)},
                  {"copied", table.published.inserts}});
  }
  // The row types of tables come with these, so tables with columns of such types are last.
  std::vector<catalog::table> ordered;
  for (bool const of_row_types : {false, true}) {
    for (auto& table : *tables) {
      if (table.relation && has_row_types(*table.relation) == of_row_types) ordered.push_back(std::move(table));
    }
  }
  co_return ordered;
}

// Once for every process, of tables that source.tables selects: they have no WAL that could be followed.
asio::awaitable<result<void>> session::tell_left_alone(pg::connection& source) {
  if (std::exchange(life_.told_of_left_alone, true)) co_return result<void>();
  auto listed = co_await catalog::list_unlogged(source);
  if (!listed) co_return fail(std::move(listed));
  std::erase_if(*listed, [&](auto const& t) { return !config().source.tables.matches(t.schema, t.name); });
  if (listed->empty()) co_return result<void>();
  std::string names;
  for (auto const& table : *listed) names += (names.empty() ? "" : ", ") + table.quoted_name();
  log::warning("unlogged and temporary tables are left alone: their changes are not in the WAL",
               {{"pipeline", config().name}, {"tables", names}});
  co_return result<void>();
}

asio::awaitable<result<void>> session::make_publication(pg::connection& source) {
  auto listed = co_await catalog::list_tables(source);
  if (!listed) co_return fail(std::move(listed));
  std::vector<catalog::candidate> with_identity, without;
  for (auto& table : *listed) {
    if (!config().source.tables.matches(table.schema, table.name)) continue;
    (table.has_identity ? with_identity : without).push_back(std::move(table));
  }
  if (with_identity.empty() && without.empty()) {
    co_return error{severity::config, "source.no_tables", "no table of the source matches source.tables",
                    "Patterns without a schema mean public; names in double quotes keep their case."};
  }
  auto const& name = config().source.publication;
  // Publishing the updates of a table without replica identity would make them fail at the source.
  if (!with_identity.empty()) {
    if (auto made = co_await catalog::create_publication(source, name, with_identity, false); !made) co_return made;
    log::info("publication created", {{"pipeline", config().name}, {"publication", name}});
  }
  if (!without.empty()) {
    auto const second = inserts_publication();
    if (auto made = co_await catalog::create_publication(source, second, without, true); !made) co_return made;
    log::info("publication created for tables without replica identity",
              {{"pipeline", config().name}, {"publication", second}});
  }
  document_.made_publication = true;
  co_return result<void>();
}

// Tables that the file names one by one have to be in the publication; where it is ours they are added.
asio::awaitable<result<void>> session::extend_publication(pg::connection& source,
                                                          std::vector<catalog::publication> const& there) {
  if (std::any_of(there.begin(), there.end(), [](auto const& p) { return p.all_tables; })) co_return result<void>();
  auto listed = co_await catalog::list_tables(source);
  if (!listed) co_return fail(std::move(listed));
  auto published = co_await catalog::published_tables(source, publication_names());
  if (!published) co_return fail(std::move(published));
  auto const is_published = [&](std::string const& schema, std::string const& table) {
    return std::any_of(published->begin(), published->end(),
                       [&](auto const& p) { return p.relation->schema == schema && p.relation->name == table; });
  };
  std::vector<catalog::candidate> with_identity, without;
  for (auto const& pattern : config().source.tables.includes()) {
    if (!pattern.exact() || is_published(pattern.schema(), pattern.name())) continue;
    auto const at = std::find_if(listed->begin(), listed->end(), [&](auto const& c) {
      return c.schema == pattern.schema() && c.name == pattern.name();
    });
    auto const shown = model::quote_identifier(pattern.schema()) + '.' + model::quote_identifier(pattern.name());
    if (at == listed->end()) {
      auto unlogged = co_await catalog::list_unlogged(source);
      if (!unlogged) co_return fail(std::move(unlogged));
      if (std::ranges::any_of(
              *unlogged, [&](auto const& c) { return c.schema == pattern.schema() && c.name == pattern.name(); })) {
        continue;  // which is told
      }
      co_return error{severity::config, "source.no_such_table", fmt::format("the source has no table {}", shown),
                      "Check source.tables; names in double quotes keep their case."};
    }
    if (!document_.made_publication) {
      co_return error{severity::config, "source.not_published",
                      fmt::format("table {} is not in publication {}", shown, config().source.publication),
                      fmt::format("Run: ALTER PUBLICATION {} ADD TABLE {};",
                                  model::quote_identifier(config().source.publication), shown)};
    }
    (at->has_identity ? with_identity : without).push_back(*at);
  }
  auto const add = [&](std::string const& name, std::vector<catalog::candidate> const& tables,
                       bool only_inserts) -> asio::awaitable<result<void>> {
    if (tables.empty()) co_return result<void>();
    bool const exists = std::any_of(there.begin(), there.end(), [&](auto const& p) { return p.name == name; });
    if (exists) co_return co_await catalog::add_to_publication(source, name, tables);
    co_return co_await catalog::create_publication(source, name, tables, only_inserts);
  };
  if (auto added = co_await add(config().source.publication, with_identity, false); !added) co_return added;
  co_return co_await add(inserts_publication(), without, true);
}

asio::awaitable<result<void>> session::open_destination(std::vector<catalog::table> const& tables) {
  auto const mode = config().source.binary;
  auto const obstacle = std::find_if(tables.begin(), tables.end(),
                                     [](auto const& t) { return !destination::binary_transferable(*t.relation); });
  if (mode == config::binary_mode::on && obstacle != tables.end()) {
    co_return error{severity::config, "source.binary",
                    fmt::format("table {} has columns that cannot be transferred in binary form",
                                obstacle->relation->quoted_name()),
                    "Set source.binary = \"auto\"."};
  }
  binary_ = config().destination.type == config::destination_type::postgres && mode != config::binary_mode::off &&
            obstacle == tables.end() && !life_.only_text;
  auto made = destination::make(config(), {.admit = around_.admit,
                                           .types_now = [this](auto table) { return types_now(std::move(table)); },
                                           .binary = binary_,
                                           .memory = &life_.memory,
                                           .python = around_.python});
  if (!made) co_return fail(std::move(made));
  destination_ = std::move(*made);
  while (!life_.breaker.allow(std::chrono::steady_clock::now())) co_await runtime::pause(milliseconds(100));
  auto opened = co_await destination_->open();
  if (!opened) {
    auto failure = fail(std::move(opened));
    if (failure.kind == severity::retry) life_.breaker.failed(std::chrono::steady_clock::now());
    co_return failure;
  }
  life_.breaker.succeeded(std::chrono::steady_clock::now());
  recovered_ = std::move(*opened);
  for (auto& entry : recovered_.documents) documents_[entry.key] = entry.value;
  co_return result<void>();
}

asio::awaitable<result<std::vector<model::type_definition>>> session::types_now(model::relation_ptr table) {
  auto connection = co_await core_->metadata.take();
  if (!connection) co_return fail(std::move(connection));
  model::relation now = *table;
  if (auto defined = co_await pg::define_types(**connection, std::array{&now}); !defined) {
    co_return fail(std::move(defined));
  }
  co_return std::move(now.types);
}

// A pipeline into its own source would feed on its own rows, and empty its tables before copying them.
asio::awaitable<result<void>> session::check_apart(pg::connection& source) {
  if (config().destination.type != config::destination_type::postgres) co_return result<void>();
  auto const key = destination::postgres_lock_key(config().name);
  auto taken = co_await source.query(fmt::format("SELECT pg_catalog.pg_try_advisory_lock({})", key),
                                     "looking for the destination's lock");
  if (!taken) co_return fail(std::move(taken));
  if (!taken->flag(0, 0)) {
    co_return error{severity::config, "destination.is_source", "source and destination are the same database",
                    "Give destination.url another database."};
  }
  auto freed = co_await source.query(fmt::format("SELECT pg_catalog.pg_advisory_unlock({})", key), "freeing a lock");
  if (!freed) co_return fail(std::move(freed));
  co_return result<void>();
}

void session::read_progress() {
  for (auto const& [key, text] : documents_) {
    if (key.starts_with("schema/")) {
      if (auto schema = known_schema::parse(text)) {
        auto const& relation = *schema->relation;
        known_schemas_by_name_[{relation.schema, relation.name}].push_back(relation.oid);
        known_schemas_.emplace(relation.oid, std::move(*schema));
      }
    }
    if (!key.starts_with("table/")) continue;
    auto parsed = copy_progress::parse(text);
    if (!parsed) continue;
    known_names_.emplace(parsed->schema, parsed->name);
    known_progress_.emplace(key, std::move(*parsed));
  }
}

// The names that new tables cannot have yet, with the replicated tables that have them at the destination.
std::map<std::string, std::uint32_t> session::names_of_others(std::vector<catalog::table> const& tables) const {
  std::map<std::string, std::uint32_t> held;
  std::set<std::uint32_t> known;
  for (auto const& table : tables) {
    auto const at = known_schemas_.find(table.relation->oid);
    if (at == known_schemas_.end()) continue;
    held[at->second.relation->quoted_name()] = at->first;
    known.insert(at->first);
  }
  // Tables that have one of their own already wait for nothing.
  for (auto const& table : tables) {
    if (known.contains(table.relation->oid)) held.erase(table.relation->quoted_name());
  }
  return held;
}

// The schema that the destination's table was made for last, by this pipeline; where it has none for the table, that of
// another one of the same name, which is gone.
std::optional<known_schema> session::schema_there(model::relation const& table) {
  if (auto const* const known = core_->tables.find(table.oid); known != nullptr) return known->schema;
  if (auto const own = known_schemas_.find(table.oid); own != known_schemas_.end()) return own->second;
  std::optional<known_schema> found;
  if (auto const named = known_schemas_by_name_.find({table.schema, table.name});
      named != known_schemas_by_name_.end()) {
    for (auto const oid : named->second) {
      if (core_->tables.find(oid) == nullptr) found = known_schemas_.at(oid);
    }
  }
  core_->tables.each([&](replicated_table& other) {
    auto const& its = *other.schema.relation;
    if (its.oid == table.oid || its.schema != table.schema || its.name != table.name) return;
    found = other.schema;
    if (!other.gone) copier_->end(other);
    other.gone = true;
  });
  return found;
}

// `present` was read after the catalog.
asio::awaitable<result<void>> session::adopt_table(catalog::table facts, catalog::present_end present) {
  auto const relation = facts.relation;
  auto const there = schema_there(*relation);
  if (binary_ && !destination::binary_transferable(*relation)) {
    life_.only_text = true;
    co_return error{
        severity::retry, "source.needs_text",
        fmt::format("table {} cannot be streamed in binary form; going on in text form", relation->quoted_name())};
  }
  bool const came_back = core_->tables.find(relation->oid) != nullptr;
  auto& table = core_->tables.add(std::move(facts));
  // Of an earlier table of this name, too, what the destination holds is ours.
  bool known_name = came_back || known_names_.contains({relation->schema, relation->name});
  if (auto const known = known_progress_.find(copy_progress::key(relation->oid)); known != known_progress_.end()) {
    table.progress = known->second;
    known_name = true;
  }
  // Rows that it got while it was not published are in no stream.
  if (came_back) table.progress = {.state = copy_state::stopped};
  if (life_.stopped_tables.contains(relation->oid)) {
    table.stopped = true;
    table.progress.schema = relation->schema;
    table.progress.name = relation->name;
    table.progress.state = copy_state::stopped;
    // The destination has to know before any row of the table is dropped: the next start copies it afresh.
    core_->record_progress(table);
    co_return result<void>();
  }
  if (auto fine = check_column_names(config(), *relation); !fine) {
    core_->stop_table(table, fine.error());
    co_return result<void>();
  }
  // The table as it was when the pipeline last ran: the stream still has to bring rows of that schema. When it comes to
  // the change, or finds that no row has, the destination's table follows. What is copied afresh needs none of that.
  bool const is_known = there && there->relation->oid == relation->oid;
  bool const afresh = table.progress.state == copy_state::stopped || table.progress.state == copy_state::pending;
  table.schema.heaps = heaps_of(table.facts);
  if (is_known && !afresh) {
    table.schema = *there;
    if (same_schema(*there->relation, *relation) && !rewritten(*there, *relation, heaps_of(table.facts))) {
      table.schema.relation = relation;
      table.schema.heaps = heaps_of(table.facts);
    } else {
      core_->saw({relation->oid, table.facts, present.end, table.schema.relation});
    }
  } else if (is_known) {
    table.schema.former = former_names(*there, *relation);
  }
  table.schema.gone = false;
  if (afresh && config().copy.mode != config::copy_mode::never) {
    table.schema.copied_from = present.end;
    table.schema.copied_snapshot = present.snapshot;
  }
  table.left_to_copy = replication::snapshot::parse(table.schema.copied_snapshot);
  destination::table_change change(table.schema.relation);
  if (there) change.before = there->relation;
  change.copied_again = afresh;
  auto const document = model::document{known_schema::key(relation->oid), table.schema.to_document()};
  bool const kept = documents_[document.key] == document.value;
  if (!kept) change.documents = [&](bool) { return std::vector{document}; };
  auto ensured = co_await core_->destination.ensure_table(change);
  if (!ensured) {
    auto failure = fail(std::move(ensured));
    // A lane that has refused rows must not be passed: dropping the table's changes would confirm them.
    bool const about_lanes = failure.kind == severity::config && destination_->what_it_can().positions_by_table;
    if (failure.kind == severity::retry || failure.kind == severity::bug || about_lanes) co_return failure;
    core_->stop_table(table, failure);
    co_return result<void>();
  }
  if (!kept) core_->builder.add_document(document);
  if (there && !is_known) {
    core_->builder.add_document({known_schema::key(there->relation->oid), ""});
    known_name = true;
  }
  core_->furthest = std::max(core_->furthest, ensured->furthest);
  core_->last_commit = std::max(core_->last_commit, ensured->furthest.commit);
  if (table.progress.state == copy_state::done && ensured->created && !destination_->what_it_can().appends) {
    log::warning("the destination's table was gone; it is copied again",
                 {{"pipeline", config().name}, {"table", table.name()}});
    table.progress = {};
  }
  auto const state = table.progress.state;
  bool const first_time = state == copy_state::pending || state == copy_state::stopped;
  if (config().copy.mode == config::copy_mode::never && state == copy_state::stopped) {
    error failure{severity::data, "table.needs_copy",
                  fmt::format("table {} was stopped by an error, so changes of it are missing at the destination",
                              relation->quoted_name())};
    failure.hint = "Set copy.mode to \"when_new\" to have it copied afresh.";
    failure.table = relation->oid;
    core_->stop_table(table, failure);
    co_return result<void>();
  }
  // Where inserts are not published, rows that were inserted before are not, either.
  if (config().copy.mode == config::copy_mode::never || !table.facts.published.inserts) {
    table.progress.state = copy_state::done;
    co_return result<void>();
  }
  if (state == copy_state::done && config().copy.mode == config::copy_mode::when_new) {
    if (table.partitioned() && copier::partitions_differ(table, table.facts.parts)) {
      copier_->partitions_changed(table, table.facts.parts);
    }
    co_return result<void>();
  }

  bool empty_it = state == copy_state::running && table.progress.whole;
  // What a lane holds is this pipeline's: it was ended before the state store had heard of its first copy. Those rows
  // may have got no further than into a landing table yet.
  bool const held = ensured->furthest != position{};
  if (first_time && (ensured->has_rows || held)) {
    bool const ours = known_name || held || config().copy.existing_rows == config::existing_rows::replace;
    if (!ours && config().copy.existing_rows == config::existing_rows::error) {
      error failure{severity::data, "table.existing_rows",
                    fmt::format("the destination's table {} has rows already, and this pipeline has not written them",
                                relation->quoted_name())};
      failure.hint =
          "Empty it, or set copy.existing_rows to \"replace\" (they are removed first) or \"keep\" (they are kept and "
          "updated).";
      failure.table = relation->oid;
      core_->stop_table(table, failure);
      co_return result<void>();
    }
    empty_it = ours;
  }
  if (state == copy_state::done || state == copy_state::stopped) {
    if (relation->key.empty() && ensured->has_rows) empty_it = true;
    table.progress = {};
  }
  copier_->start(table, empty_it);
  co_return result<void>();
}

// Home core, called by the stream: a table of the publication that was not there at the start.
asio::awaitable<result<replicated_table*>> session::discover(std::uint32_t oid) {
  std::optional<catalog::table> facts;
  catalog::present_end present;
  {
    auto connection = co_await core_->metadata.take();
    if (!connection) co_return fail(std::move(connection));
    auto found = co_await catalog::published_table(**connection, publication_names(), oid);
    if (!found) co_return fail(std::move(found));
    facts = std::move(*found);
    auto now = co_await catalog::look_at_present(**connection);
    if (!now) co_return fail(std::move(now));
    present = std::move(*now);
  }
  // Gone again, or left out by the file: its rows are not ours.
  if (!facts || !config().source.tables.matches(facts->relation->schema, facts->relation->name)) co_return nullptr;
  log::info("new table", {{"pipeline", config().name}, {"table", facts->relation->quoted_name()}});
  core_->drain_wanted = true;
  while (!core_->builder.empty() || core_->writing) {
    core_->writer_wake.notify();
    co_await core_->reader_wake.wait();
  }
  auto adopted = co_await adopt_table(std::move(*facts), present);
  core_->drain_wanted = false;
  core_->writer_wake.notify();
  if (!adopted) co_return fail(std::move(adopted));
  co_return core_->tables.find(oid);
}

}  // namespace etl::pipeline
