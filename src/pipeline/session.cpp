#include "pipeline/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "pipeline/status.hpp"
#include "pipeline/stream.hpp"
#include "pipeline/writer.hpp"
#include "runtime/pause.hpp"
#include "runtime/task_group.hpp"

namespace etl::pipeline {
namespace {

using std::chrono::milliseconds;

// A loaded chunk, or `once`, waits for WAL that the stream has not brought for this long.
constexpr auto stuck_after = milliseconds(500);
// Between two looks at the catalog.
constexpr auto least_between_looks = milliseconds(1'000);
// Of rows that were changed while chunks were read; about 60 MB.
constexpr std::size_t most_remembered_keys = 1'000'000;

// A string of a replication command, whose grammar takes backslashes as they are and knows no E''.
std::string quote_option(std::string_view text) {
  std::string quoted = "'";
  for (char const c : text) {
    if (c == '\'') quoted += c;
    quoted += c;
  }
  return quoted + '\'';
}

}  // namespace

void home::stop_table(replicated_table& table, error const& why) {
  log::write(log::level::error, "table stopped; the others run on", why,
             {{"pipeline", config().name}, {"table", table.name()}});
  table.stopped = true;
  table.progress.schema = table.facts.relation->schema;
  table.progress.name = table.facts.relation->name;
  table.progress.state = copy_state::stopped;
  life.stopped_tables.insert(table.facts.relation->oid);
  record_progress(table);
  copier_wake.notify();
  settled.notify();
}

void home::saw(seen_change change) {
  std::erase_if(seen, [&](auto const& earlier) { return earlier.oid == change.oid; });
  seen.push_back(std::move(change));
  // On a quiet server the stream's position moves only when asked for.
  ask_server = true;
  status_wake.notify();
}

std::vector<model::document> home::documents_of(known_schema const& schema, copied how) {
  auto const& table = *schema.relation;
  std::vector<model::document> documents{{known_schema::key(table.oid), schema.to_document()}};
  if (how != copied::as_before) {
    copy_progress progress;
    progress.state = how == copied::again ? copy_state::running : copy_state::stopped;
    progress.whole = table.key.empty();
    progress.schema = table.schema;
    progress.name = table.name;
    documents.push_back({copy_progress::key(table.oid), progress.to_document()});
  }
  return documents;
}

void home::leave_table(replicated_table& table, std::string_view why) {
  log::warning(why, {{"pipeline", config().name}, {"table", table.name()}});
  table.gone = table.schema.gone = true;
  table.progress.state = copy_state::stopped;
  builder.add_document({known_schema::key(table.schema.relation->oid), table.schema.to_document()});
  record_progress(table);
  copier_wake.notify();
  settled.notify();
}

session::session(lasting& life, state::store& store, surroundings around)
    : life_(life), store_(store), around_(std::move(around)) {}

session::~session() = default;

pg::connect_options session::source_access(bool replication) const {
  pg::connect_options options;
  options.url = config().source.url.reveal();
  if (config().source.password) options.password = config().source.password->reveal();
  options.application_name = "etl-stream " + config().name;
  options.replication = replication;
  options.settings = pg::canonical_text_settings();
  options.timeout = config().source.connect_timeout;
  options.admit = around_.admit;
  return options;
}

std::string session::inserts_publication() const { return config().source.publication + "_inserts"; }

std::vector<std::string> session::publication_names() const {
  return {config().source.publication, inserts_publication()};
}

void session::stop() {
  core_->stopping = true;
  core_->reader_wake.notify();
  core_->copier_wake.notify();
  core_->settled.notify();
}

asio::awaitable<result<void>> session::run() {
  auto outcome = co_await prepare();
  if (outcome) outcome = co_await follow();
  co_await close();
  co_return outcome;
}

asio::awaitable<void> session::close() {
  copier_.reset();
  replication_.reset();
  if (destination_) co_await destination_->close();
}

// --- before the stream -----------------------------------------------------------------------------------------------

asio::awaitable<result<void>> session::save_document() {
  std::vector<model::document> entry;
  entry.push_back({std::string(pipeline_document::key), document_.to_document()});
  co_return co_await store_.put(std::move(entry));
}

asio::awaitable<result<void>> session::follow() {
  std::string publications;
  auto there = publication_names();
  {
    auto connection = co_await core_->metadata.take();
    if (!connection) co_return fail(std::move(connection));
    auto found = co_await catalog::find_publications(**connection, there);
    if (!found) co_return fail(std::move(found));
    for (auto const& one : *found)
      publications += (publications.empty() ? "" : ",") + model::quote_identifier(one.name);
  }
  auto const sql = fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {}{})",
                               model::quote_identifier(config().source.slot), document_.confirmed.to_text(),
                               quote_option(publications), binary_ ? ", binary 'true'" : "");
  stream::suit(*replication_);
  if (auto started = co_await replication_->begin_copy_out(sql, "starting the replication stream"); !started)
    co_return started;
  log::info("streaming", {{"pipeline", config().name},
                          {"slot", config().source.slot},
                          {"lsn", document_.confirmed.to_text()},
                          {"tables", static_cast<std::int64_t>(core_->tables.size())}});
  life_.has_run = true;
  following_ = true;
  core_->last_heard = std::chrono::steady_clock::now();

  auto const can = destination_->what_it_can();
  auto const timeout = server_.wal_sender_timeout;
  auto interval = config().source.heartbeat.count() > 0 ? config().source.heartbeat : milliseconds(10'000);
  if (timeout.count() > 0) interval = std::min(interval, timeout / 3);

  stream reader(*core_, *copier_, *replication_);
  writer writing(*core_, config().batch.max_fill.value_or(milliseconds(can.max_fill_ms)));
  status telling(*core_, *replication_, document_, interval);
  runtime::task_group group(core_->executor);
  auto const then = [this](asio::awaitable<result<void>> task, bool& ended) -> asio::awaitable<result<void>> {
    auto outcome = co_await std::move(task);
    ended = true;
    core_->settled.notify();
    co_return outcome;
  };
  group.spawn(then(reader.run(), stream_ended_), "stream");
  group.spawn(then(copier_->run(), copier_ended_), "copier");
  group.spawn(writing.run(), "writer");
  group.spawn(telling.run(), "status");
  group.spawn(finish(), "finish");
  group.spawn(watch(), "watch");
  group.spawn(watch_types(), "types");
  group.spawn(look_around(), "catalog");
  auto outcome = co_await group.join();
  show_progress(true);
  if (!outcome) {
    auto failure = fail(std::move(outcome));
    if (failure.kind == severity::data && failure.table != 0) {
      // That table alone is given up; the others go on from what is durable.
      if (auto* const table = core_->tables.find(failure.table); table != nullptr && !table->stopped) {
        core_->stop_table(*table, failure);
        std::vector<model::document> entry;
        entry.push_back({copy_progress::key(failure.table), table->progress.to_document()});
        if (auto saved = co_await store_.put(std::move(entry)); !saved) co_return saved;
        co_return error{severity::retry, "table.stopped", "going on without a table"};
      }
    }
    co_return undecodable(std::move(failure));
  }
  bool stopped_tables = false;
  core_->tables.each([&](replicated_table const& table) { stopped_tables = stopped_tables || table.stopped; });
  following_ = false;
  co_await carry_last_sequences();
  if (once_reached_) {
    if (auto shown = co_await destination_->catch_up(); !shown) co_return shown;
  }
  if (around_.once && stopped_tables) {
    co_return error{severity::config, "pipeline.tables_stopped", "not every table could be replicated; see above"};
  }
  co_return result<void>();
}

// Once stop() was called: waits for stream and copier to come to their end, then lets writer and status do so, all
// within shutdown_timeout.
asio::awaitable<result<void>> session::finish() {
  while (!core_->stopping) co_await core_->settled.wait();
  auto const until = std::chrono::steady_clock::now() + config().shutdown_timeout;
  while (!core_->written_out) {
    if (stream_ended_ && copier_ended_ && !core_->closing) {
      core_->closing = true;
      core_->writer_wake.notify();
    }
    auto const left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      co_return error{severity::retry, "pipeline.shutdown_timeout",
                      "not everything was durable within shutdown_timeout; nothing is lost, the next start repeats it"};
    }
    co_await core_->settled.wait_for(left);
  }
  co_return result<void>();
}

// Looks after the whole a few times a second: `once`, a server that fell silent, the progress display.
asio::awaitable<result<void>> session::watch() {
  auto const quiet_limit = std::max(milliseconds(30'000), 3 * config().source.heartbeat);
  auto moved = core_->received;
  auto moved_at = std::chrono::steady_clock::now();
  bool told = false;
  bool looked_at_end = false;
  while (!core_->written_out) {
    show_progress(false);
    if (!told && core_->caught_up() && core_->idle()) {
      destination_->passed_recovered();
      told = true;
    }
    if (config().source.sequences && std::chrono::steady_clock::now() >= sequences_due_ && !core_->stopping) {
      sequences_due_ = std::chrono::steady_clock::now() + config().source.sequences_every;
      if (auto read = co_await read_sequences();
          !read && read.error().kind == severity::retry && !is_locked(read.error()))
        co_return read;
    }
    if (std::chrono::steady_clock::now() >= partitions_due_ && !core_->stopping) {
      auto const every = config().source.heartbeat.count() > 0 ? config().source.heartbeat : milliseconds(10'000);
      partitions_due_ = std::chrono::steady_clock::now() + every;
      if (auto looked = co_await look_at_partitions(); !looked) co_return looked;
    }
    auto const quiet = std::chrono::steady_clock::now() - core_->last_heard;
    if (!core_->waits_for_room && !core_->stopping && quiet > quiet_limit) {
      co_return error{severity::retry, "source.silent",
                      fmt::format("the source has not answered for {} s",
                                  std::chrono::duration_cast<std::chrono::seconds>(quiet).count()),
                      "The connection is given up and made anew."};
    }
    if (around_.once && !core_->stopping && copier_->finished()) {
      bool const there = core_->received >= fence_ && !core_->cursor.in_transaction() && core_->seen.empty();
      if (there && !looked_at_end) {
        // Changes without a row behind them are in no message.
        looked_at_end = core_->look_wanted = true;
      } else if (there && !core_->look_wanted) {
        core_->flush_wanted = true;
        core_->writer_wake.notify();
        if (core_->idle()) {
          once_reached_ = true;
          stop();
        }
      } else {
        core_->ask_server = true;
        core_->status_wake.notify();
      }
    }
    if (core_->reconciler.remembered_keys() > most_remembered_keys) copier_->relieve();
    if (core_->received != moved) {
      moved = core_->received;
      moved_at = std::chrono::steady_clock::now();
    }
    auto wanted = std::max(copier_->waits_for(), core_->stopping ? lsn{} : fence_);
    for (auto const& change : core_->seen) wanted = std::max(wanted, change.high);
    if (wanted > moved && std::chrono::steady_clock::now() - moved_at > stuck_after && !core_->waits_for_room) {
      moved_at = std::chrono::steady_clock::now();
      if (auto nudged = co_await nudge(); !nudged) co_return nudged;
    }
    co_await core_->settled.wait_for(milliseconds(around_.once ? 50 : 250));
  }
  co_return result<void>();
}

// The stream tells of a changed table with its next row only, which may be long in coming; of a table that joined or
// left the publication it may tell nothing. So the catalog is asked now and then, as long as anything is written.
asio::awaitable<result<void>> session::look_around() {
  std::string stamp;
  lsn looked{};
  auto pause = least_between_looks;
  auto asked = std::chrono::steady_clock::now();
  while (!core_->stopping) {
    auto const now = std::chrono::steady_clock::now();
    bool const due = core_->look_wanted || (now >= asked + pause && core_->received != looked);
    if (!due || !core_->caught_up()) {
      co_await runtime::pause(milliseconds(100));
      continue;
    }
    asked = now;
    looked = core_->received;
    std::string found;
    lsn before{};
    {
      auto connection = co_await core_->metadata.take();
      if (!connection) co_return fail(std::move(connection));
      auto at = co_await catalog::current_wal_position(**connection);
      if (!at) co_return fail(std::move(at));
      before = *at;
      auto answer = co_await catalog::published_stamp(**connection, publication_names());
      if (!answer && answer.error().kind == severity::retry && !is_locked(answer.error()))
        co_return fail(std::move(answer));
      if (answer) found = std::move(*answer);
    }
    if (!found.empty() && found == stamp && !core_->look_wanted) {
      core_->tables.each([&](replicated_table& table) { table.latest.seen = std::max(table.latest.seen, before); });
    } else if (auto compared = co_await compare_tables(); !compared) {
      // Tables that go while they are looked at: the next look finds them gone.
      if (compared.error().kind == severity::retry && !is_locked(compared.error())) co_return compared;
      found.clear();
    }
    core_->look_wanted = false;
    stamp = core_->seen.empty() ? std::move(found) : std::string();
    // A catalog of many tables takes its time: at most a fiftieth of the server's goes into this.
    pause = std::max(least_between_looks, 50 * std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - now));
  }
  co_return result<void>();
}

asio::awaitable<result<void>> session::compare_tables() {
  auto connection = co_await core_->metadata.take();
  if (!connection) co_return fail(std::move(connection));
  auto found = co_await catalog::published_tables(**connection, publication_names());
  if (!found) co_return fail(std::move(found));
  auto const high = co_await catalog::current_wal_position(**connection);
  if (!high) co_return fail(result(high));
  std::set<std::uint32_t> published;
  for (auto& facts : *found) {
    auto const& relation = *facts.relation;
    published.insert(relation.oid);
    auto* const table = core_->tables.find(relation.oid);
    bool const chosen = config().source.tables.matches(relation.schema, relation.name);
    if (table == nullptr || table->gone) {
      if (chosen) core_->saw({relation.oid, std::move(facts), *high, nullptr});
      continue;
    }
    if (same_schema(*table->schema.relation, relation) && !rewritten(table->schema, relation, heaps_of(facts))) {
      table->latest = std::move(facts);
    } else if (!table->stopped) {
      core_->saw({relation.oid, std::move(facts), *high, table->schema.relation});
    }
  }
  core_->tables.each([&](replicated_table const& table) {
    auto const oid = table.schema.relation->oid;
    if (!table.gone && !table.stopped && !published.contains(oid)) {
      core_->saw({oid, std::nullopt, *high, table.schema.relation});
    }
  });
  co_return result<void>();
}

// A change is acted on when it is seen for the second time: by then every transaction that was emitted before recording
// began is long visible.
asio::awaitable<result<void>> session::look_at_partitions() {
  if (config().copy.mode == config::copy_mode::never) co_return result<void>();
  std::vector<std::uint32_t> tables;
  core_->tables.each([&](replicated_table const& table) {
    if (table.partitioned() && !table.stopped && !table.copying()) tables.push_back(table.facts.relation->oid);
  });
  if (tables.empty()) co_return result<void>();
  std::map<std::uint32_t, std::vector<catalog::storage>> found;
  {
    auto connection = co_await core_->metadata.take();
    if (!connection) co_return fail(std::move(connection));
    auto storage = co_await catalog::find_storage(**connection, tables);
    if (!storage && is_locked(storage.error())) co_return result<void>();
    if (!storage) co_return fail(std::move(storage));
    found = std::move(*storage);
  }
  std::set<std::uint32_t> seen;
  for (auto const oid : tables) {
    auto* const table = core_->tables.find(oid);
    if (table == nullptr || table->stopped || table->copying()) continue;
    auto& now = found[oid];
    if (!copier::partitions_differ(*table, now)) continue;
    if (!repartitioned_.contains(oid) || core_->cursor.in_transaction()) {
      seen.insert(oid);
      core_->reconciler.start_recording();
      continue;
    }
    copier_->partitions_changed(*table, std::move(now));
  }
  repartitioned_ = std::move(seen);
  bool const recorded = std::exchange(core_->keep_recording, !repartitioned_.empty());
  if (recorded && !core_->keep_recording)
    copier_->stop_recording();  // else it would go on where nothing is to be copied
  co_return result<void>();
}

asio::awaitable<result<void>> session::read_sequences() {
  std::vector<std::uint32_t> tables;
  core_->tables.each([&](replicated_table const& table) { tables.push_back(table.facts.relation->oid); });
  auto connection = co_await core_->metadata.take();
  if (!connection) co_return fail(std::move(connection));
  std::vector<std::string> hidden;
  auto read = co_await catalog::read_sequences(**connection, std::move(tables), hidden);
  if (!read) {
    auto failure = fail(std::move(read));
    log::write(log::level::warning, "the source's sequences cannot be read", failure, {{"pipeline", config().name}});
    co_return failure;
  }
  if (!hidden.empty() && !std::exchange(told_of_hidden_sequences_, true)) {
    log::warning("sequences that the source's role may not read are left out",
                 {{"pipeline", config().name},
                  {"sequences", fmt::format("{}", fmt::join(hidden, ", "))},
                  {"hint", fmt::format("Run: GRANT SELECT ON SEQUENCE {} TO the role;", fmt::join(hidden, ", "))}});
  }
  core_->sequences = std::move(*read);
  core_->writer_wake.notify();
  co_return result<void>();
}

asio::awaitable<void> session::carry_last_sequences() {
  if (!config().source.sequences) co_return;
  if (auto read = co_await read_sequences(); !read) co_return;  // which has been told
  auto set = co_await destination_->set_sequences(std::move(*core_->sequences));
  if (set) co_return;
  log::write(log::level::warning, "sequences were not carried over", set.error(), {{"pipeline", config().name}});
}

// An open transaction may leave WAL behind the last full page, which no server writes out by itself: it can be many
// seconds before the stream gets there. The smallest commit that there is makes it.
asio::awaitable<result<void>> session::nudge() {
  if (server_.in_recovery) co_return result<void>();
  auto connection = co_await core_->metadata.take();
  if (!connection) co_return fail(std::move(connection));
  auto sent = co_await (**connection)
                  .query(
                      "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, 'etl_stream', "
                      "''); COMMIT",
                      "moving the stream on");
  if (!sent && sent.error().kind == severity::retry) co_return fail(std::move(sent));
  if (!sent) {
    // Not allowed: then the server's own pace has to do.
    auto ended = co_await (**connection).query("ROLLBACK", "moving the stream on");
    if (!ended) co_return fail(std::move(ended));
  }
  co_return result<void>();
}

void session::show_progress(bool ended) {
  if (around_.progress == nullptr) return;
  if (ended) {
    around_.progress->done(config().name);
    return;
  }
  copy_snapshot now;
  now.pipeline = config().name;
  for (auto& one : copier_->progress()) {
    now.tables.push_back({std::move(one.name),
                          one.done       ? table_copy::done
                          : one.rows > 0 ? table_copy::running
                                         : table_copy::waiting,
                          one.rows, one.bytes_done, one.bytes_total});
  }
  if (!now.tables.empty()) around_.progress->show(now);
}

}  // namespace etl::pipeline
