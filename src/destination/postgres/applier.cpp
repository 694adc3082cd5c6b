#include "destination/postgres/applier.hpp"

#include <fmt/format.h>

#include <iterator>

namespace etl::destination::postgres {
namespace {

// Up to here prepared statements in one round trip are faster than COPY and set-based SQL, which have a fixed cost of
// some round trips and plans.
constexpr std::size_t few = 128;
constexpr std::size_t copy_piece = 256 * 1024;
// Statements that one session keeps prepared.
constexpr std::size_t most_prepared = 1000;

}  // namespace

void applier::start_batch() {
  memory_.release();
  failed_ = {};
  if (prepared_ > most_prepared) {
    queue("DEALLOCATE ALL");
    ++generation_;
    prepared_ = 0;
  }
}

void applier::rolled_back() {
  statements_.clear();
  waiting_.clear();
  texts_.clear();
  ++generation_;
  prepared_ = 0;
}

void applier::queue(std::string sql, std::initializer_list<std::string_view> parameters) {
  pg::statement statement{texts_.emplace_back(std::move(sql)), {}, {}};
  for (auto const text : parameters) statement.parameters.push_back({text, false});
  statements_.push_back(std::move(statement));
  waiting_.emplace_back();
}

asio::awaitable<result<void>> applier::rows(target& to, model::table_rows const& segment) {
  differences_count_ = !segment.copied && !segment.copying;
  if (to.table->key.empty()) co_return co_await append(to, segment);
  if (segment.only_new) {
    if (segment.rows.size() > few && to.way() == route::plain) co_return co_await copy(to, segment);
    changes_.clear();
    std::size_t offset = 0;
    for (auto const& row : segment.rows) {
      changes_.added.push_back(segment.bytes.view().substr(offset, row.size));
      offset += row.size;
    }
    co_return co_await change(to);
  }
  planner_.start(segment, memory_);
  while (planner_.next(changes_))
    if (auto done = co_await change(to); !done) co_return fail(std::move(done));
  co_return result<void>();
}

// A table without a key: exact duplicates are legal.
asio::awaitable<result<void>> applier::append(target& to, model::table_rows const& segment) {
  if (!segment.only_new) co_return co_await change_by_value(to, segment);
  // COPY has no way to write a list of no columns.
  if (segment.rows.size() > few && !to.table->columns.empty()) co_return co_await copy(to, segment);
  auto& statement = prepared(to, "insert");
  std::size_t offset = 0;
  for (auto const& row : segment.rows) {
    auto const fields = fields_of(segment.bytes.view().substr(offset, row.size));
    queue_prepared(to, statement, parameters_of({fields}), expectation::nothing);
    offset += row.size;
  }
  co_return result<void>();
}

// Rows that go come along whole (REPLICA IDENTITY FULL); one row of the same text goes for each.
asio::awaitable<result<void>> applier::change_by_value(target& to, model::table_rows const& segment) {
  planner_.by_value(segment, changes_);
  if (!changes_.removed.empty()) {
    prepare_stage(to);
    if (auto begun = co_await begin_copy(to, to.sql.copy_to_stage(binary_)); !begun) co_return fail(std::move(begun));
    for (auto const row : changes_.removed) {
      to.format.row(out_, row);
      if (out_.size() < copy_piece) continue;
      if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
    }
    if (auto ended = co_await end_copy(to); !ended) co_return fail(std::move(ended));
    // There is no index for this: without a hash join every row would be compared with every other.
    queue("SET LOCAL enable_hashjoin = on");
    queue_staged(to, to.sql.remove_staged_by_value(), expectation::affected, changes_.removed.size());
    queue("SET LOCAL enable_hashjoin = off");
  }
  if (changes_.added.size() > few && !to.table->columns.empty()) co_return co_await copy_added(to);
  auto& statement = prepared(to, "insert");
  for (auto const row : changes_.added) {
    queue_prepared(to, statement, parameters_of({fields_of(row)}), expectation::nothing);
  }
  co_return result<void>();
}

// Applies changes_, each part by rows or by sets. Removals come first, new rows last, so that values of other unique
// indexes are free before they are taken.
asio::awaitable<result<void>> applier::change(target& to) {
  auto const way = to.way();
  note_difference(to, changes_.contradictions);

  auto const is_many = [&](std::size_t rows) {
    return to.sql.can_stage() && (rows > few || (to.partitioned && rows != 0));
  };
  bool const stage_rest = way == route::replace || is_many(changes_.rest());
  bool const stage_added = way == route::replace || (way == route::merge && is_many(changes_.added.size()));

  if (!stage_rest) queue_rest(to);
  if (stage_rest || stage_added) {
    if (auto done = co_await stage(to, stage_rest, stage_added); !done) co_return fail(std::move(done));
  }
  if (!stage_added && is_many(changes_.added.size())) {
    if (auto done = co_await copy_added(to); !done) co_return fail(std::move(done));
  } else if (!stage_added) {
    queue_upserts(to, changes_.added, expectation::is_new);
  }
  queue_rekeyed(to);
  co_return result<void>();
}

void applier::queue_rest(target& to) {
  auto const by_key = [&](std::vector<std::string_view> const& keys, expectation expects) {
    if (keys.empty()) return;
    auto& statement = prepared(to, "remove");
    for (auto const key : keys) queue_prepared(to, statement, parameters_of({key}), expects);
  };
  by_key(changes_.removed, expectation::affected);
  by_key(changes_.vanished, expectation::nothing);
  queue_upserts(to, changes_.changed, expectation::is_known);
  key_reader const keys(*to.table);
  for (auto const& group : changes_.partial) {
    auto& statement = prepared(to, "update", group.unchanged);
    for (auto const row : group.rows) queue_update(to, statement, row, keys.of(row, memory_));
  }
}

void applier::queue_upserts(target& to, std::vector<std::string_view> const& rows, expectation expects) {
  if (rows.empty()) return;
  auto& statement = prepared(to, "upsert");
  for (auto const row : rows) queue_prepared(to, statement, parameters_of({fields_of(row)}), expects);
}

void applier::queue_update(target& to, target::prepared& statement, std::string_view row, std::string_view key) {
  auto const all = parameters_of({fields_of(row)});
  std::vector<pg::parameter> parameters;
  for (auto const column : statement.columns) parameters.push_back(all[column]);
  for (auto& one : parameters_of({key})) parameters.push_back(one);
  queue_prepared(to, statement, std::move(parameters), expectation::completed);
}

void applier::queue_rekeyed(target& to) {
  key_reader const keys(*to.table);
  for (auto const& one : changes_.rekeyed) {
    if (to.way() != route::plain) {  // somebody else's row may have the new key
      auto const new_key = keys.of(one.row, memory_);
      queue_prepared(to, prepared(to, "make_way"), parameters_of({new_key, one.old_key}), expectation::nothing);
    }
    queue_update(to, prepared(to, "rekey", one.unchanged), one.row, one.old_key);
  }
}

asio::awaitable<result<void>> applier::copy(target& to, model::table_rows const& segment) {
  if (auto begun = co_await begin_copy(to, to.sql.copy(binary_)); !begun) co_return fail(std::move(begun));
  if (binary_) {
    // The rows are what COPY BINARY wants: they go out as they lie.
    if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
    if (auto put = co_await connection_.put_copy(segment.bytes.view()); !put)
      co_return failure_at(to, fail(std::move(put)));
  } else {
    std::size_t offset = 0;
    for (auto const& row : segment.rows) {
      to.format.row(out_, segment.bytes.view().substr(offset, row.size));
      offset += row.size;
      if (out_.size() < copy_piece) continue;
      if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
    }
  }
  co_return co_await end_copy(to);
}

asio::awaitable<result<void>> applier::copy_added(target& to) {
  if (auto begun = co_await begin_copy(to, to.sql.copy(binary_)); !begun) co_return fail(std::move(begun));
  for (auto const row : changes_.added) {
    to.format.row(out_, row);
    if (out_.size() < copy_piece) continue;
    if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
  }
  co_return co_await end_copy(to);
}

asio::awaitable<result<void>> applier::begin_copy(target& to, std::string sql) {
  if (auto sent = co_await send(); !sent) co_return fail(std::move(sent));
  if (auto begun = co_await connection_.begin_copy_in(std::move(sql), "copying rows"); !begun) {
    co_return failure_at(to, fail(std::move(begun)));
  }
  out_.clear();
  to.format.begin(out_);
  co_return result<void>();
}

asio::awaitable<result<void>> applier::put_out(target& to) {
  if (auto put = co_await connection_.put_copy(out_.view()); !put) co_return failure_at(to, fail(std::move(put)));
  out_.clear();
  co_return result<void>();
}

asio::awaitable<result<void>> applier::end_copy(target& to) {
  to.format.end(out_);
  if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
  if (auto ended = co_await connection_.end_copy_in("copying rows"); !ended) {
    co_return failure_at(to, fail(std::move(ended)));
  }
  co_return result<void>();
}

// Puts changes into the table by way of its staging table: `rest` says whether changes to rows that are there belong to
// them, `added` whether new rows do.
asio::awaitable<result<void>> applier::stage(target& to, bool rest, bool added) {
  prepare_stage(to);
  if (auto filled = co_await fill_stage(to, rest, added); !filled) co_return fail(std::move(filled));
  if (to.way() == route::replace) co_return co_await replace_staged(to);
  co_return co_await merge_staged(to, rest, added);
}

void applier::prepare_stage(target& to) {
  if (to.staged) {
    queue_staged(to, to.sql.empty_stage());
  } else {
    queue_staged(to, to.sql.drop_stage());
    queue_staged(to, to.sql.create_stage());
    to.staged = true;
  }
}

asio::awaitable<result<void>> applier::fill_stage(target& to, bool rest, bool added) {
  if (auto begun = co_await begin_copy(to, to.sql.copy_to_stage(binary_)); !begun) co_return fail(std::move(begun));
  if (rest) {
    for (auto const* keys : {&changes_.removed, &changes_.vanished}) {
      for (auto const key : *keys) {
        to.format.staged_key(out_, staged::removed, key);
        if (out_.size() < copy_piece) continue;
        if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
      }
    }
    if (auto put = co_await stage_rows(to, staged::changed, changes_.changed); !put) co_return fail(std::move(put));
    std::int16_t kind = staged::partial;
    for (auto const& group : changes_.partial) {
      if (auto put = co_await stage_rows(to, kind++, group.rows); !put) co_return fail(std::move(put));
    }
  }
  if (added) {
    if (auto put = co_await stage_rows(to, staged::added, changes_.added); !put) co_return fail(std::move(put));
  }
  co_return co_await end_copy(to);
}

asio::awaitable<result<void>> applier::stage_rows(target& to, std::int16_t kind,
                                                  std::vector<std::string_view> const& rows) {
  for (auto const row : rows) {
    to.format.staged_row(out_, kind, row);
    if (out_.size() < copy_piece) continue;
    if (auto put = co_await put_out(to); !put) co_return fail(std::move(put));
  }
  co_return result<void>();
}

asio::awaitable<result<void>> applier::merge_staged(target& to, bool rest, bool added) {
  auto const none = static_cast<std::size_t>(-1);
  std::size_t changed_at = none;
  std::size_t added_at = none;
  if (rest) {
    if (!changes_.removed.empty() || !changes_.vanished.empty()) {
      queue_staged(to, to.sql.remove_staged(staged::removed), expectation::affected, changes_.removed.size());
    }
    if (!changes_.changed.empty()) changed_at = queue_staged(to, to.sql.update_from_stage(staged::changed));
    std::int16_t kind = staged::partial;
    for (auto const& group : changes_.partial) {
      queue_staged(to, to.sql.update_from_stage(kind++, group.unchanged), expectation::completed, group.rows.size());
    }
  }
  if (added && !changes_.added.empty()) {
    added_at = queue_staged(to, to.sql.update_from_stage(staged::added));
    queue_staged(to, to.sql.insert_missing_from_stage(staged::added));
  }
  auto answers = co_await send_and_read();
  if (!answers) co_return fail(std::move(answers));

  if (added_at != none && (*answers)[added_at].affected() != 0) {
    to.merging = careful_segments;
    note_difference(to, (*answers)[added_at].affected());
  }
  if (changed_at == none) co_return result<void>();
  auto const found = (*answers)[changed_at].affected();
  if (found >= changes_.changed.size()) co_return result<void>();
  note_difference(to, changes_.changed.size() - found);
  queue_staged(to, to.sql.insert_missing_from_stage(staged::changed));
  co_return co_await send();
}

asio::awaitable<result<void>> applier::replace_staged(target& to) {
  std::int16_t kind = staged::partial;
  std::size_t expected = changes_.removed.size() + changes_.changed.size();
  for (auto const& group : changes_.partial) {
    queue_staged(to, to.sql.complete_staged(kind++, group.unchanged), expectation::completed, group.rows.size());
    expected += group.rows.size();
  }
  queue_staged(to, to.sql.remove_all_staged(), expectation::affected, expected);
  queue_staged(to, to.sql.insert_all_staged());
  co_return co_await send();
}

void applier::truncate(std::vector<target*> const& tables, model::truncation const& event, bool by_deleting) {
  if (tables.empty()) return;
  auto const queue_for = [&](target& about, std::string sql) {
    queue(std::move(sql));
    waiting_.back() = {&about, about.way(), expectation::nothing, 0, true};
  };
  std::string list;
  for (auto* const table : tables) {
    auto const name = fmt::format("{}{}", table->partitioned ? "" : "ONLY ", table->sql.name());
    if (by_deleting) queue_for(*table, fmt::format("DELETE FROM {}", name));
    list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
  }
  if (by_deleting) return;
  queue_for(*tables.front(), fmt::format("TRUNCATE {}{}", list, event.restart_identity ? " RESTART IDENTITY" : ""));
}

target::prepared& applier::prepared(target& to, std::string_view kind, std::string_view unchanged) {
  std::string const key = fmt::format("{}{}", kind, unchanged);
  auto const known = to.statements.find(key);
  if (known != to.statements.end()) return known->second;
  auto& made = to.statements[key];
  if (kind == "insert") made.sql = to.sql.insert();
  if (kind == "upsert") made.sql = to.sql.upsert();
  if (kind == "remove") made.sql = to.sql.remove();
  if (kind == "make_way") made.sql = to.sql.make_way();
  if (kind == "update" || kind == "rekey") {
    made.columns = to.sql.columns_to_set(unchanged, kind == "rekey");
    made.sql = to.sql.update(made.columns);
  }
  return made;
}

void applier::queue_prepared(target& to, target::prepared& statement, std::vector<pg::parameter> parameters,
                             expectation expects) {
  bool const is_new = statement.generation != generation_;
  if (is_new) {
    statement.generation = generation_;
    statement.name = fmt::format("etl_{}_{}", generation_, ++prepared_);
  }
  statements_.push_back(
      {is_new ? std::string_view(statement.sql) : std::string_view(), statement.name, std::move(parameters)});
  waiting_.push_back({&to, to.way(), differences_count_ ? expects : expectation::nothing, 1, false});
}

std::size_t applier::queue_staged(target& to, std::string sql, expectation expects, std::uint64_t rows) {
  queue(std::move(sql));
  waiting_.back() = {&to, to.way(), differences_count_ ? expects : expectation::nothing, rows, false};
  return statements_.size() - 1;
}

std::vector<pg::parameter> applier::parameters_of(std::initializer_list<std::string_view> fields) const {
  std::vector<pg::parameter> parameters;
  for (auto const part : fields) {
    for (field_cursor cursor(part); !cursor.at_end();) {
      auto const value = cursor.next();
      parameters.push_back({value.length < 0 ? std::nullopt : std::optional(value.data()), binary_});
    }
  }
  return parameters;
}

asio::awaitable<result<void>> applier::send() {
  auto answers = co_await send_and_read();
  if (!answers) co_return fail(std::move(answers));
  co_return result<void>();
}

asio::awaitable<result<std::vector<pg::rows>>> applier::send_and_read() {
  if (statements_.empty()) co_return std::vector<pg::rows>();
  std::size_t failed_at = 0;
  auto answers = co_await connection_.pipeline(statements_, "applying rows", &failed_at);
  if (!answers) {
    auto const& about = waiting_[failed_at];
    failed_ = {about.about, about.way, about.truncation};
    co_return fail(std::move(answers));
  }
  for (std::size_t i = 0; i < waiting_.size(); ++i) check(waiting_[i], (*answers)[i]);
  statements_.clear();
  waiting_.clear();
  texts_.clear();
  co_return std::move(*answers);
}

void applier::check(waiting const& about, pg::rows const& answer) {
  auto const differ = [&](std::uint64_t rows, bool lost) {
    about.about->repaired += rows;
    if (lost) about.about->lost += rows;
  };
  switch (about.expects) {
    case expectation::nothing:
      return;
    case expectation::affected:
    case expectation::completed:
      if (answer.affected() < about.rows) {
        differ(about.rows - answer.affected(), about.expects == expectation::completed);
      }
      return;
    case expectation::is_new:
    case expectation::is_known:
      if (answer.flag(0, 0) != (about.expects == expectation::is_new)) differ(1, false);
      return;
  }
}

void applier::note_difference(target& at, std::uint64_t rows) {
  if (differences_count_) at.repaired += rows;
}

error applier::failure_at(target& to, error failure) {
  failed_ = {&to, to.way(), false};
  return failure;
}

}  // namespace etl::destination::postgres
