#include "pipeline/copier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <optional>

#include "base/log.hpp"
#include "runtime/on_shard.hpp"
#include "runtime/pause.hpp"
#include "runtime/task_group.hpp"

namespace etl::pipeline {
namespace {

constexpr std::size_t keys_a_chunk = 256;
constexpr int most_failures = 5;  // of one worker in a row

}  // namespace

struct copier::table_copy {
  struct range {
    std::size_t part = 0;
    std::uint32_t first = 0;
    std::uint32_t end = 0;
  };
  // A row that the stream could not complete. Until it has been read by its key and is durable, PostgreSQL must keep
  // the transaction that wants it: after a crash nothing else would bring it back.
  struct wanted_row {
    kept_key key;
    lsn held{};
  };

  explicit table_copy(replicated_table& table_) : table(table_) {}

  replicated_table& table;
  std::uint32_t generation = 0;  // tasks of an older one are void
  bool stale = false;            // the catalog has to be read again before any more is planned
  bool ahead = false;            // waits for the stream to come to the schema that the source has
  bool whole = false;
  bool empty_first = false;
  bool to_begin = false;  // nothing of it is in the batch yet; it waits for the end of the transaction at hand
  std::uint32_t blocks_a_chunk = 1;
  std::deque<range> todo;
  unsigned ranges_out = 0;  // taken by a worker and not yet emitted
  std::deque<wanted_row> wanted;
  unsigned keys_out = 0;              // tasks with keys that are out
  std::optional<chunk_answer> piece;  // of a whole copy, waiting for its turn
  std::uint64_t piece_of = 0;         // that copy's chunk
  bool reopened = false;              // had been done: only wanted rows are left to read
  chunk_rows removed_since;           // of a whole copy: what has to go when all of it is there

  [[nodiscard]] bool nothing_left() const {
    return !stale && !ahead && todo.empty() && ranges_out == 0 && wanted.empty() && keys_out == 0 && !piece;
  }
};

struct copier::task {
  table_copy* copy;
  std::uint32_t generation;
  enum class kind : std::uint8_t { range, keys, whole, refresh } what;
  table_copy::range range;
  std::vector<table_copy::wanted_row> keys;
};

struct copier::open_chunk {
  std::shared_ptr<task> job;
  std::optional<chunk_answer> answer;
};

struct copier::worker {
  boost::asio::io_context* core;
  std::shared_ptr<chunk_reader> reader;  // touched on `core` only
  int failures = 0;
  bool connected = false;
};

copier::copier(home& core, boost::asio::io_context& home_core, std::vector<worker_place> places,
               encode::ndjson_options ndjson, discoverer discover)
    : core_(core),
      home_core_(home_core),
      ndjson_(std::move(ndjson)),
      discover_(std::move(discover)),
      chunk_bytes_(core.config().copy.chunk_size),
      most_waiting_(core.config().copy.max_memory) {
  for (auto& place : places) {
    auto one = std::make_unique<worker>();
    one->core = place.core;
    one->reader = std::make_shared<chunk_reader>(std::move(place.connect), core.destination.wants(), ndjson_);
    workers_.push_back(std::move(one));
  }
}

copier::~copier() = default;

error copier::no_key_error(replicated_table const& table, std::string_view event) {
  error failure{
      severity::data, "table.no_key",
      fmt::format("{} on {} cannot be replicated: the table has no key to find the row by", event, table.name())};
  failure.hint = fmt::format(
      "Give it a primary key, or a unique index named by ALTER TABLE {} REPLICA IDENTITY USING INDEX …; "
      "the next start copies it again.",
      table.name());
  failure.table = table.facts.relation->oid;
  return failure;
}

row_encoder copier::encoder_for(model::relation_ptr table) const {
  return row_encoder(core_.destination.wants(), std::move(table), ndjson_);
}

copier::table_copy* copier::find(std::uint32_t oid) {
  auto const at = copies_.find(oid);
  return at == copies_.end() ? nullptr : at->second.get();
}

void copier::start(replicated_table& table, bool empty_first) {
  auto const oid = table.facts.relation->oid;
  auto& slot = copies_[oid];
  if (!slot) slot = std::make_unique<table_copy>(table);
  auto& copy = *slot;
  ++copy.generation;
  copy.todo.clear();
  copy.stale = false;
  copy.ahead = false;
  copy.empty_first = copy.empty_first || empty_first;
  if (empty_first) table.progress.rows = 0;
  copy.whole = table.facts.relation->key.empty() || !table.facts.moves_published;

  auto& progress = table.progress;
  progress.schema = table.facts.relation->schema;
  progress.name = table.facts.relation->name;
  progress.state = copy_state::running;
  progress.whole = copy.whole;
  // What was done counts only for the heaps that it was done on.
  std::vector<part_progress> parts;
  std::uint64_t blocks = 0, bytes = 0;
  for (auto const& heap : table.facts.parts) {
    blocks += heap.blocks;
    bytes += heap.bytes;
    auto const known = std::find_if(progress.parts.begin(), progress.parts.end(),
                                    [&](auto const& p) { return p.oid == heap.oid && p.filenode == heap.filenode; });
    if (known != progress.parts.end() && !copy.whole) {
      parts.push_back(std::move(*known));
    } else {
      // An empty heap is one chunk, too: rows may have come since it was measured.
      parts.push_back({heap.oid, heap.filenode, std::max(heap.blocks, 1u), {}});
    }
  }
  progress.parts = std::move(parts);
  // Rows may be mostly out of line: the size with TOAST decides how many pages make a chunk.
  auto const bytes_a_block = std::max<std::uint64_t>(blocks == 0 ? core_.server.page_size : bytes / blocks, 1);
  copy.blocks_a_chunk =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(chunk_bytes_ / bytes_a_block, 1, 1u << 20));

  if (copy.whole) {
    table.seen_by_copy.emplace();
    copy.removed_since = {};
    copy.todo.push_back({});
  } else {
    table.seen_by_copy.reset();
    for (std::size_t part = 0; part < progress.parts.size(); ++part) {
      for (auto const& [first, end] : progress.parts[part].done.missing(progress.parts[part].blocks)) {
        for (auto at = first; at < end; at += copy.blocks_a_chunk) {
          copy.todo.push_back({part, at, std::min(end, at + copy.blocks_a_chunk)});
        }
      }
    }
  }
  core_.reconciler.start_recording();
  copy.to_begin = true;
  if (caught_up_ && !core_.cursor.in_transaction()) begin(copy);
}

bool copier::partitions_differ(replicated_table const& table, std::vector<catalog::storage> const& now) {
  auto const& known = table.progress.parts;
  return known.size() != now.size() || !std::ranges::all_of(now, [&](auto const& heap) {
           return std::ranges::any_of(known,
                                      [&](auto const& p) { return p.oid == heap.oid && p.filenode == heap.filenode; });
         });
}

void copier::partitions_changed(replicated_table& table, std::vector<catalog::storage> now) {
  auto const tell = [&](std::string_view what, std::string const& partition) {
    log::warning(what,
                 {{"pipeline", core_.config().name},
                  {"table", table.name()},
                  {"partition", partition},
                  {"hint", fmt::format("Delete them there; or run TRUNCATE {}; there, and start once with copy.mode "
                                       "= \"always\".",
                                       table.name())}});
  };
  auto& known = table.progress.parts;
  std::vector<part_progress> parts;
  bool added = false;
  for (auto const& heap : now) {
    auto const at = std::ranges::find(known, heap.oid, &part_progress::oid);
    auto const blocks = std::max(heap.blocks, 1u);
    if (at != known.end() && at->filenode != heap.filenode) {
      tell(
          "a partition was truncated, or rewritten as by VACUUM FULL; if truncated, its rows are still at the "
          "destination",
          heap.quoted_name);
    }
    added = added || at == known.end();
    if (at == known.end() && !table.facts.relation->key.empty()) continue;  // to be copied
    parts.push_back({heap.oid, heap.filenode, blocks, {}});
    parts.back().done.add(0, blocks);
  }
  for (auto const& part : known) {
    if (std::ranges::find(now, part.oid, &catalog::storage::oid) != now.end()) continue;
    auto const was = std::ranges::find(table.facts.parts, part.oid, &catalog::storage::oid);
    tell("a partition was detached or dropped; its rows are still at the destination",
         was == table.facts.parts.end() ? fmt::format("OID {}", part.oid) : was->quoted_name);
  }
  known = std::move(parts);
  table.facts.parts = std::move(now);
  if (added && table.facts.relation->key.empty()) {
    tell("a partition is new; without a key, rows that it had before cannot be copied by themselves", "");
  } else if (added) {
    log::info("a partition is new and is copied", {{"pipeline", core_.config().name}, {"table", table.name()}});
    if (auto* const copy = find(table.facts.relation->oid); copy != nullptr) abandon_all(*copy);
    start(table);
  }
  core_.record_progress(table);
}

bool copier::finished() const {
  return std::all_of(copies_.begin(), copies_.end(), [](auto const& entry) {
    auto const& table = entry.second->table;
    return table.stopped || !table.copying();
  });
}

std::vector<copier::view> copier::progress() const {
  std::vector<view> all;
  for (auto const& [oid, copy] : copies_) {
    view one{.name = copy->table.name(), .rows = copy->table.progress.rows, .done = !copy->table.copying()};
    std::uint64_t blocks = 0, done = 0;
    for (auto const& part : copy->table.progress.parts) {
      blocks += part.blocks;
      done += std::min<std::uint64_t>(part.done.count(), part.blocks);
    }
    for (auto const& heap : copy->table.facts.parts) one.bytes_total += heap.bytes;
    one.bytes_done = one.done ? one.bytes_total : blocks == 0 || copy->whole ? 0 : one.bytes_total * done / blocks;
    all.push_back(std::move(one));
  }
  return all;
}

// --- giving out work -------------------------------------------------------------------------------------------------

std::shared_ptr<copier::task> copier::next_task() {
  if (core_.stopping || !caught_up_) return nullptr;
  std::size_t reading = 0;
  for (auto const& [id, chunk] : chunks_) reading += chunk->answer ? 0 : 1;
  bool const room =
      bytes_waiting_ + (reading + 1) * chunk_bytes_ <= most_waiting_ || (bytes_waiting_ == 0 && reading == 0);
  for (auto& [oid, copy] : copies_) {
    if (copy->table.stopped || !copy->table.copying()) continue;
    auto job =
        std::make_shared<task>(task{.copy = copy.get(), .generation = copy->generation, .what = task::kind::range});
    if (copy->stale) {
      copy->stale = false;  // taken; set again when it fails
      ++copy->ranges_out;
      job->what = task::kind::refresh;
      return job;
    }
    if (!copy->wanted.empty()) {
      job->what = task::kind::keys;
      ++copy->keys_out;
      while (!copy->wanted.empty() && job->keys.size() < keys_a_chunk) {
        job->keys.push_back(std::move(copy->wanted.front()));
        copy->wanted.pop_front();
      }
      return job;
    }
    if (copy->todo.empty() || !room) continue;
    job->what = copy->whole ? task::kind::whole : task::kind::range;
    job->range = copy->todo.front();
    copy->todo.pop_front();
    ++copy->ranges_out;
    return job;
  }
  return nullptr;
}

// A task that came to nothing: what it was to read is read by another, unless that has been settled meanwhile.
void copier::give_back(std::shared_ptr<task> job) {
  auto& copy = *job->copy;
  if (job->generation != copy.generation) return;  // abandoned, and settled there
  if (job->what == task::kind::keys) {
    --copy.keys_out;
    for (auto& key : job->keys) copy.wanted.push_back(std::move(key));
  } else {
    --copy.ranges_out;
    if (job->what == task::kind::refresh) {
      copy.stale = true;
    } else {
      copy.todo.push_front(job->range);
    }
  }
  core_.copier_wake.notify();
}

asio::awaitable<result<void>> copier::run() {
  runtime::task_group group(core_.executor);
  for (auto& one : workers_) group.spawn(work(*one), "copy worker");
  group.spawn(interrupt_at_the_end(), "copy interrupter");
  co_return co_await group.join();
}

// Reading on another core is not cancelled from here: when this ends, however it does, it is broken off there.
asio::awaitable<result<void>> copier::interrupt_at_the_end() {
  struct interrupter {
    std::vector<std::unique_ptr<worker>>& workers;
    ~interrupter() {
      for (auto& one : workers) asio::post(*one->core, [reader = one->reader] { reader->interrupt(); });
    }
  } const at_the_end{workers_};
  while (!core_.stopping) co_await core_.copier_wake.wait();
  co_return result<void>();
}

asio::awaitable<result<void>> copier::work(worker& one) {
  while (!core_.stopping) {
    auto job = next_task();
    if (!job) {
      if (one.connected && finished()) {
        one.connected = false;
        auto closed =
            co_await runtime::on_shard<bool>(*one.core, [reader = one.reader]() -> asio::awaitable<result<bool>> {
              reader->close();
              co_return true;
            });
        if (!closed) co_return fail(std::move(closed));
        continue;  // there may be work by now
      }
      co_await core_.copier_wake.wait();
      continue;
    }
    one.connected = true;
    auto done = job->what == task::kind::whole     ? co_await run_whole(one, job)
                : job->what == task::kind::refresh ? co_await refresh(*job->copy)
                                                   : co_await run_task(one, job);
    if (done) {
      one.failures = 0;
      continue;
    }
    auto failure = fail(std::move(done));
    if (core_.stopping) break;
    auto& copy = *job->copy;
    bool const current = job->generation == copy.generation && !copy.table.stopped && copy.table.copying();
    if (!current) continue;
    // The table changed under the query: read the catalog again, then what is left of it.
    if (failure.sqlstate == "42703" || failure.sqlstate == "42P01") {
      if (copy.whole) {  // pieces of it are out: begin again with an empty table
        failure.kind = severity::retry;
        co_return failure;
      }
      give_back(job);
      copy.stale = true;
      if (++one.failures > most_failures) core_.stop_table(copy.table, failure);
      continue;
    }
    if (failure.kind == severity::bug) co_return failure;
    if (failure.kind != severity::retry) {
      core_.stop_table(copy.table, failure);
      continue;
    }
    // Pieces of a whole copy are void after a failure; the next attempt empties the table first.
    if (copy.whole || ++one.failures > most_failures) co_return failure;
    give_back(job);
    log::warning("copy interrupted, trying again", {{"pipeline", core_.config().name}, {"table", copy.table.name()}});
    co_await runtime::pause(std::chrono::milliseconds(100 << one.failures));
  }
  co_return result<void>();
}

asio::awaitable<result<snapshot_verdict>> copier::judge(std::uint64_t chunk, replication::snapshot snapshot) {
  if (core_.stopping || !chunks_.contains(chunk)) {
    co_return error{severity::retry, "copy.interrupted", "the copy was interrupted"};
  }
  switch (core_.reconciler.snapshot_taken(chunk, snapshot)) {
    case replication::verdict::ok:
      break;
    case replication::verdict::take_another:
      co_return snapshot_verdict::take_another;
    case replication::verdict::wait_for_older:
      co_return snapshot_verdict::wait_for_older;
  }
  auto& copy = *chunks_.at(chunk)->job->copy;
  if (chunks_.at(chunk)->job->what == task::kind::whole && !copy.table.seen_by_copy->copied_under(std::move(snapshot)))
    co_return snapshot_verdict::take_another;
  co_return snapshot_verdict::use_it;
}

asio::awaitable<result<void>> copier::run_task(worker& one, std::shared_ptr<task> job) {
  auto& table = job->copy->table;
  chunk_request request;
  request.table = table.facts.relation;
  request.row_filter = table.facts.row_filter;
  request.most_bytes = 4 * chunk_bytes_;
  if (job->what == task::kind::keys) {
    request.part = table.facts.parts.front();
    // Wanted by several changes, read once: a chunk has one version of a row.
    for (auto const& row : job->keys) {
      if (std::ranges::find(request.keys, row.key) == request.keys.end()) request.keys.push_back(row.key);
    }
  } else {
    request.part = table.facts.parts[job->range.part];
    request.first = job->range.first;
    request.end = job->range.end;
    request.to_the_end = job->range.end >= table.progress.parts[job->range.part].blocks;
  }
  // From here on (R) the stream's keys are remembered.
  auto const id = core_.reconciler.open(table.facts.relation->oid);
  ++table.open_chunks;
  chunks_.emplace(id, std::make_unique<open_chunk>(open_chunk{job, {}}));

  auto accept = [this, id](replication::snapshot snapshot) {
    return runtime::on_shard<snapshot_verdict>(
        home_core_, [this, id, snapshot = std::move(snapshot)]() mutable { return judge(id, std::move(snapshot)); });
  };
  auto answer = co_await runtime::on_shard<chunk_answer>(
      *one.core, [reader = one.reader, request = std::move(request), accept]() mutable {
        return reader->read(std::move(request), accept);
      });

  auto const at = chunks_.find(id);
  if (at == chunks_.end()) co_return result<void>();  // abandoned meanwhile
  if (!answer || answer->too_big) {
    core_.reconciler.abandon(id);
    chunks_.erase(at);
    --table.open_chunks;
    if (!answer) co_return fail(std::move(answer));
    auto const middle = job->range.first + (job->range.end - job->range.first) / 2;
    auto& copy = *job->copy;
    --copy.ranges_out;
    copy.todo.push_front({job->range.part, middle, job->range.end});
    copy.todo.push_front({job->range.part, job->range.first, middle});
    co_return result<void>();
  }
  loaded(id, std::move(*answer));
  co_return result<void>();
}

void copier::loaded(std::uint64_t id, chunk_answer answer) {
  core_.reconciler.loaded(id, replication::fence_of(answer.high, core_.server.block_size, core_.server.segment_size));
  bytes_waiting_ += answer.rows.bytes.size();
  chunks_.at(id)->answer = std::move(answer);
  emit_ready();
  // On a quiet server the stream's position moves only when asked for.
  if (chunks_.contains(id)) {
    core_.ask_server = true;
    core_.status_wake.notify();
  }
}

asio::awaitable<result<void>> copier::run_whole(worker& one, std::shared_ptr<task> job) {
  auto& copy = *job->copy;
  auto& table = copy.table;
  auto const oid = table.facts.relation->oid;
  table.seen_by_copy.emplace();
  auto const id = core_.reconciler.open(oid);
  ++table.open_chunks;
  chunks_.emplace(id, std::make_unique<open_chunk>(open_chunk{job, {}}));
  auto accept = [this, id](replication::snapshot snapshot) {
    return runtime::on_shard<snapshot_verdict>(
        home_core_, [this, id, snapshot = std::move(snapshot)]() mutable { return judge(id, std::move(snapshot)); });
  };
  auto take_piece = [this, id, &copy](chunk_answer piece) -> asio::awaitable<result<bool>> {
    if (!chunks_.contains(id)) co_return false;  // truncated or given up while the piece was on its way
    copy.piece_of = id;
    copy.piece = std::move(piece);
    pieces_.push_back(&copy);
    emit_ready();
    while (copy.piece && !core_.stopping && chunks_.contains(id)) co_await core_.copier_wake.wait();
    co_return !copy.piece && !core_.stopping && chunks_.contains(id);
  };
  auto take = [this, &take_piece](chunk_answer piece) {
    return runtime::on_shard<bool>(home_core_, [&take_piece, piece = std::make_shared<chunk_answer>(std::move(piece))] {
      return take_piece(std::move(*piece));
    });
  };
  auto read = co_await runtime::on_shard<lsn>(
      *one.core, [reader = one.reader, relation = table.facts.relation, parts = table.facts.parts,
                  filter = table.facts.row_filter, blocks = copy.blocks_a_chunk, accept,
                  take] { return reader->read_whole(relation, parts, filter, blocks, accept, take); });
  auto const at = chunks_.find(id);
  if (at == chunks_.end()) co_return result<void>();  // truncated or given up meanwhile
  copy.piece.reset();
  if (!read || core_.stopping) {
    core_.reconciler.abandon(id);
    chunks_.erase(at);
    --table.open_chunks;
    // The pieces so far are void: the next attempt begins with an empty table.
    co_return read ? result<void>() : fail(std::move(read));
  }
  // Done when the stream has passed all that the copy saw; until then its transactions have to be told apart.
  chunk_answer nothing;
  nothing.rows.table = table.facts.relation;
  nothing.high = *read;
  loaded(id, std::move(nothing));
  co_return result<void>();
}

asio::awaitable<result<void>> copier::refresh(table_copy& copy, bool empty_first) {
  auto const oid = copy.table.facts.relation->oid;
  auto connection = co_await core_.metadata.take();
  if (!connection) co_return fail(std::move(connection));
  auto found = co_await catalog::published_table(**connection, core_.publications, oid);
  if (!found) co_return fail(std::move(found));
  if (!*found) {
    // Dropped, or taken out of the publication: the stream has nothing more for it either.
    log::warning("table is no longer published; its copy ends",
                 {{"pipeline", core_.config().name}, {"table", copy.table.name()}});
    end_early(copy);
    co_return result<void>();
  }
  auto& table = copy.table;
  table.facts = std::move(**found);
  table.latest = table.facts;
  // Rows of one schema are told by its address.
  if (same_schema(*table.facts.relation, *table.schema.relation)) table.facts.relation = table.schema.relation;
  start(table, empty_first);
  co_return result<void>();
}

asio::awaitable<result<void>> copier::schema_changed(replicated_table& table) {
  auto* const copy = find(table.facts.relation->oid);
  if (copy == nullptr || !table.copying()) co_return result<void>();
  abandon_all(*copy);
  // Of a table that is copied whole some pieces may be there already.
  co_return co_await refresh(*copy, copy->whole);
}

asio::awaitable<result<void>> copier::copy_again(replicated_table& table, bool empty_first) {
  auto& copy = copies_[table.schema.relation->oid];
  if (!copy) copy = std::make_unique<table_copy>(table);
  abandon_all(*copy);
  bool const whole = copy->whole || table.schema.relation->key.empty();
  // All rows are read: those that are wanted one by one, too. That they are is kept with the schema.
  for (auto const& row : copy->wanted) core_.feedback.release(row.held, last_);
  copy->wanted.clear();
  table.progress = {};
  co_return co_await refresh(*copy, empty_first || whole);
}

void copier::end(replicated_table& table) {
  auto* const copy = find(table.schema.relation->oid);
  if (copy != nullptr && table.copying()) end_early(*copy);
}

void copier::await_schema(table_copy& copy, model::relation_ptr read_as, lsn high) {
  abandon_all(copy);
  copy.ahead = true;
  auto facts = copy.table.facts;
  facts.relation = std::move(read_as);
  core_.saw({facts.relation->oid, std::move(facts), high, copy.table.schema.relation});
}

// --- letting chunks into the stream ----------------------------------------------------------------------------------

void copier::emit_ready() {
  if (core_.cursor.in_transaction()) return;
  caught_up_ = caught_up_ || core_.caught_up();
  for (auto& [oid, copy] : copies_) {
    if (caught_up_ && copy->to_begin) begin(*copy);
  }
  std::erase_if(pieces_, [this](table_copy* copy) {
    if (!copy->piece) return true;
    if (core_.builder.full()) return false;
    // Read under a schema that the stream has not come to; when it does, the copy begins again.
    if (copy->piece->rows.table != copy->table.schema.relation) return false;
    keep_untouched(copy->piece_of, copy->piece->rows);
    append(*copy, std::move(copy->piece->rows));
    copy->piece.reset();
    core_.copier_wake.notify();
    return true;
  });
  while (!core_.builder.full()) {
    auto const id = core_.reconciler.next_ready();
    if (!id) break;
    emit(*id);
  }
}

void copier::emit(std::uint64_t id) {
  auto const at = chunks_.find(id);
  auto const job = at->second->job;
  auto answer = std::move(*at->second->answer);
  chunks_.erase(at);
  auto& copy = *job->copy;
  auto& table = copy.table;
  bytes_waiting_ -= answer.rows.bytes.size();
  --table.open_chunks;
  core_.copier_wake.notify();

  // Read of a table that has changed since, and no row of its new schema has come by: the stream may take it up here.
  if (job->what != task::kind::whole && answer.rows.table != table.schema.relation) {
    core_.reconciler.closed(id);
    if (job->what == task::kind::keys) {
      for (auto& row : job->keys) copy.wanted.push_back(std::move(row));
    }
    await_schema(copy, answer.rows.table, answer.high);
    return;
  }

  if (job->what == task::kind::range && answer.filenode != table.progress.parts[job->range.part].filenode) {
    // VACUUM FULL, CLUSTER or a rewrite moved every row: the ranges mean nothing any more. (A TRUNCATE would have come
    // by in the stream and ended the copy.)
    core_.reconciler.closed(id);
    log::info("table was rewritten; its copy begins again",
              {{"pipeline", core_.config().name}, {"table", table.name()}});
    abandon_all(copy);
    table.progress.parts.clear();
    copy.stale = true;
    return;
  }

  keep_untouched(id, answer.rows);
  core_.reconciler.closed(id);
  append(copy, std::move(answer.rows));

  switch (job->what) {
    case task::kind::range:
      --copy.ranges_out;
      table.progress.parts[job->range.part].done.add(job->range.first, job->range.end);
      break;
    case task::kind::keys:
      --copy.keys_out;
      for (auto const& row : job->keys) core_.feedback.release(row.held, last_);
      break;
    case task::kind::whole:
      --copy.ranges_out;
      table.seen_by_copy.reset();
      if (!copy.removed_since.rows.empty()) append(copy, std::exchange(copy.removed_since, {}));
      break;
    case task::kind::refresh:
      break;
  }
  check_done(copy);
}

// Rows that the stream has brought since are at least as new there. Without a key no row comes twice.
void copier::keep_untouched(std::uint64_t id, chunk_rows& rows) const {
  if (rows.hashes.empty()) return;
  std::size_t from = 0, to = 0, kept = 0;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    auto const row = rows.rows[i];
    if (core_.reconciler.keep(id, rows.hashes[i])) {
      if (from != to) std::memmove(rows.bytes.data() + to, rows.bytes.data() + from, row.size);
      to += row.size;
      rows.hashes[kept] = rows.hashes[i];
      rows.rows[kept++] = row;
    }
    from += row.size;
  }
  rows.rows.resize(kept);
  rows.hashes.resize(kept);
  rows.bytes.truncate(to);
}

void copier::append(table_copy& copy, chunk_rows rows) {
  auto const count = rows.rows.size();
  if (!rows.removals) copy.table.progress.rows += count;
  position const first{core_.last_commit, replication::chunk_ordinal(core_.epoch, core_.chunk_sequence)};
  core_.chunk_sequence += std::max<std::size_t>(count, 1);
  position const last{first.commit, first.ordinal + std::max<std::size_t>(count, 1) - 1};
  core_.builder.add_chunk(std::move(rows), first);
  core_.feedback.emitted(last, core_.received);
  last_ = last;
  core_.writer_wake.notify();
}

// The first thing of a table's copy that may go into the batch.
void copier::begin(table_copy& copy) {
  copy.to_begin = false;
  if (std::exchange(copy.empty_first, false)) {
    model::truncation event;
    event.tables.push_back(copy.table.schema.relation);
    event.at = {core_.last_commit, replication::chunk_ordinal(core_.epoch, core_.chunk_sequence++)};
    last_ = event.at;
    core_.feedback.emitted(event.at, core_.received);
    core_.builder.add_truncation(std::move(event));
  }
  check_done(copy);
  core_.copier_wake.notify();
}

lsn copier::waits_for() const {
  lsn furthest{};
  for (auto const& [id, chunk] : chunks_) {
    if (chunk->answer) furthest = std::max(furthest, chunk->answer->high);
  }
  return furthest;
}

void copier::relieve() {
  for (auto& [oid, copy] : copies_) {
    if (copy->whole || !copy->table.copying() || copy->table.stopped) continue;
    abandon_all(*copy);
    start(copy->table);
  }
}

void copier::stop_recording() {
  bool const over = finished() && core_.reconciler.open_chunks() == 0;
  // Where commits may wait, what was emitted has to be known for the next copy, too.
  if (over && !core_.server.commits_may_wait && !core_.keep_recording) core_.reconciler.stop_recording();
}

void copier::check_done(table_copy& copy) {
  auto& progress = copy.table.progress;
  // Transactions that come again may want rows by their keys: not done before they have.
  if (!caught_up_) return;
  if (copy.nothing_left() && progress.state == copy_state::running) {
    progress.state = copy_state::done;
    if (!std::exchange(copy.reopened, false)) {
      log::info("table copied", {{"pipeline", core_.config().name},
                                 {"table", copy.table.name()},
                                 {"rows", static_cast<std::int64_t>(progress.rows)}});
    }
    core_.settled.notify();
    stop_recording();
  }
  core_.record_progress(copy.table);
}

void copier::abandon_all(table_copy& copy) {
  ++copy.generation;
  for (auto at = chunks_.begin(); at != chunks_.end();) {
    if (at->second->job->copy != &copy) {
      ++at;
      continue;
    }
    core_.reconciler.abandon(at->first);
    // Wanted rows are still wanted, whatever becomes of the ranges.
    for (auto& row : at->second->job->keys) copy.wanted.push_back(std::move(row));
    if (at->second->answer) bytes_waiting_ -= at->second->answer->rows.bytes.size();
    at = chunks_.erase(at);
  }
  copy.table.open_chunks = 0;
  copy.todo.clear();
  copy.keys_out = 0;
  copy.ranges_out = 0;
  copy.piece.reset();
  core_.copier_wake.notify();
}

void copier::want_row(replicated_table& table, pgoutput::tuple row, std::uint32_t xid) {
  auto& copy = copies_[table.facts.relation->oid];
  if (!copy) copy = std::make_unique<table_copy>(table);
  if (!table.copying()) {
    table.progress.state = copy_state::running;
    copy->reopened = true;
    core_.reconciler.start_recording_inside(xid);
    core_.builder.close_segments();
  }
  kept_key key;
  for (auto const index : table.target->table()->key) {
    key.kinds.push_back(row[index].kind);
    key.values.emplace_back(row[index].data);
  }
  copy->wanted.push_back({std::move(key), core_.feedback.hold()});
  core_.copier_wake.notify();
}

void copier::remove_later(replicated_table& table, std::int64_t commit_time, pgoutput::tuple row) {
  auto& rows = find(table.facts.relation->oid)->removed_since;
  if (!rows.table) {
    rows.table = table.target->table();
    rows.removals = true;
  }
  auto const before = rows.bytes.size();
  auto encoder = encoder_for(rows.table);
  if (auto encoded = encoder.encode(rows.bytes, model::operation::remove, {}, commit_time, row, {}); !encoded) {
    core_.stop_table(table, encoded.error());
    return;
  }
  rows.rows.push_back({static_cast<std::uint32_t>(rows.bytes.size() - before), model::operation::remove, false});
  if (rows.bytes.size() <= most_waiting_) return;
  error failure{severity::data, "copy.too_many_changes",
                fmt::format("while {} was copied, more rows were changed or removed than copy.max_memory holds, and "
                            "without a key they cannot be told apart before the copy is done",
                            table.name()),
                "Raise copy.max_memory, or give the table a primary key; the next start copies it again."};
  failure.table = table.facts.relation->oid;
  core_.stop_table(table, failure);
  rows = {};
}

// Every row from here on is in the stream, or there is nothing more to come.
void copier::end_early(table_copy& copy) {
  abandon_all(copy);
  for (auto const& row : copy.wanted) core_.feedback.release(row.held, last_);
  copy.wanted.clear();
  copy.removed_since = {};
  copy.table.seen_by_copy.reset();
  copy.table.progress.state = copy_state::done;
  core_.record_progress(copy.table);
  core_.settled.notify();
}

void copier::truncated(replicated_table& table) {
  auto* const copy = find(table.facts.relation->oid);
  if (copy == nullptr || !table.copying()) return;
  core_.reconciler.truncated(table.facts.relation->oid);
  log::info("table was truncated; its copy ends", {{"pipeline", core_.config().name}, {"table", table.name()}});
  end_early(*copy);
}

}  // namespace etl::pipeline
