#include "destination/snowflake/snowflake_destination.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <limits>

#include "base/log.hpp"
#include "destination/snowflake/apply_sql.hpp"
#include "encode/json_text.hpp"
#include "runtime/task_group.hpp"

namespace etl::destination {
namespace {

using namespace snowflake;
using config::apply_mode;

// Statuses are asked for at most this often.
constexpr auto status_pace = std::chrono::milliseconds(100);
// A channel that is taken over twice within this time is not a leftover of this process.
constexpr auto fence_window = std::chrono::minutes(1);

// In bytes, before compression. Larger ones would make the SDK write files to the cloud's storage.
constexpr std::size_t largest_request = 4 << 20;

// Of rows that are under way, where refused ones are to be found among them.
constexpr std::size_t most_kept = 64 << 20;
// After that, refused rows that cannot be found stop the pipeline.
constexpr auto longest_unclear = std::chrono::seconds(30);
// In one statement that asks which of them are there.
constexpr std::size_t positions_a_question = 5'000;

constexpr position end_of_everything{lsn{std::numeric_limits<std::uint64_t>::max()},
                                     std::numeric_limits<std::uint64_t>::max()};

struct fence_memory {
  std::chrono::steady_clock::time_point last{};
};

// 42S02: undefined table; Snowflake says it of schemas, too.
bool is_missing(error const& failure) { return failure.sqlstate == "42S02" || failure.sqlstate == "02000"; }

}  // namespace

snowflake_destination::snowflake_destination(snowflake_options options)
    : options_(std::move(options)),
      can_{.exactly_once = true,
           .splits_transactions = true,
           .appends = options_.all.apply == apply_mode::append,
           .positions_by_table = true,
           .lanes = static_cast<std::uint16_t>(options_.channels),
           .max_rows = 100'000,
           .max_bytes = 16 << 20,
           .max_fill_ms = 1'000},
      position_offset_(position_offset(options_.all.metadata)) {
  if (!options_.quarantine_directory.empty()) quarantine_.emplace(options_.quarantine_directory);
}

snowflake_destination::~snowflake_destination() {
  if (applier_) applier_->abandon();
}

void snowflake_destination::adapt(encode::ndjson_options& options) const {
  auto const& names = options_.all.metadata;
  options.position_name = names.position;
  options.operation_name = names.operation;
  options.commit_time_name = names.commit_time;
  options.old_key_name = names.old_key;
  options.unchanged_name = names.unchanged;
  options.numeric_as_text = true;
  options.bare_hex = true;
  options.typed = true;
}

asio::awaitable<result<recovered>> snowflake_destination::open() {
  if (options_.all.apply != apply_mode::append && options_.all.schema == options_.all.landing_schema) {
    co_return error{severity::config, "snowflake.landing_schema",
                    "landing_schema and schema are the same, so landing tables and views of them could collide",
                    "Give destination.landing_schema a schema of its own."};
  }
  auto made = co_await options_.connect();
  if (!made) co_return judged(fail(std::move(made)));
  services_ = std::move(*made);
  if (options_.all.apply == apply_mode::merge) {
    applier_ = std::make_shared<applier>(co_await asio::this_coro::executor, services_.sql, options_.all.apply_every);
    applier_->start();
  }
  co_return recovered{};
}

// --- tables ----------------------------------------------------------------------------------------------------------

asio::awaitable<result<table_state>> snowflake_destination::ensure_table(table_change change) {
  auto const& relation = change.table;
  if (auto possible = check_change(change); !possible) co_return fail(std::move(possible));
  table_sql const sql(options_.all, relation);
  if (auto checked = sql.check(); !checked) co_return fail(std::move(checked));
  auto const target = sql.names().quoted_target();
  for (auto const& [oid, other] : tables_) {
    bool const same = other.relation->schema == relation->schema && other.relation->name == relation->name;
    if (oid == relation->oid || same || other.target != target) continue;
    error clash{
        severity::data, "destination.table_name",
        fmt::format("{} and {} would both become {}", other.relation->quoted_name(), relation->quoted_name(), target),
        "Rename one at the source, leave it out of source.tables, or set destination.case to \"preserve\"."};
    clash.table = relation->oid;
    co_return clash;
  }

  table_state state;
  auto made = co_await prepare_landing(sql);
  if (!made) co_return judged(fail(std::move(made)));
  if (options_.all.apply == apply_mode::append) state.created = *made;
  if (auto ready = co_await prepare_target(sql, state); !ready) co_return judged(fail(std::move(ready)));

  auto& table = tables_[relation->oid];
  table.relation = relation;
  table.target = target;
  if (table.lanes.empty()) {
    if (auto opened = co_await open_lanes(table, sql.names()); !opened) {
      tables_.erase(relation->oid);
      co_return judged(fail(std::move(opened)));
    }
  }
  if (applier_) applier_->adopt(relation->oid, apply_sql(options_.all, relation));
  state.durable = end_of_everything;
  for (auto const& lane : table.lanes) {
    state.durable = std::min(state.durable, lane.committed());
    state.furthest = std::max(state.furthest, lane.committed());
  }
  furthest_ = std::max(furthest_, state.furthest);
  co_return state;
}

// Landing tables and lanes have the table's name, and the rows that wait in them its key: neither can change under
// them.
result<void> snowflake_destination::check_change(table_change const& change) const {
  auto const at = tables_.find(change.table->oid);
  if (at == tables_.end()) return result<void>();
  auto const& known = *at->second.relation;
  auto const& table = *change.table;
  error failure{severity::data, "destination.table_changed"};
  failure.table = table.oid;
  if (known.schema != table.schema || known.name != table.name) {
    failure.message = fmt::format("{} was renamed to {} at the source", known.quoted_name(), table.quoted_name());
    failure.hint = fmt::format("The next start copies it under its new name. What it held until then stays in {}.",
                               at->second.target);
    return failure;
  }
  if (!model::same_key(known, table)) {
    failure.message = fmt::format("the key of {} changed at the source", table.quoted_name());
    failure.hint = fmt::format(
        "The next start copies it afresh. Where columns of the old key may be NULL by now, at Snowflake before that: "
        "DROP TABLE {};",
        at->second.target);
    return failure;
  }
  return result<void>();
}

// True: it was not there.
asio::awaitable<result<bool>> snowflake_destination::make_table(
    std::string create, std::string describe,
    std::function<result<std::vector<std::string>>(existing_table const&)> fit) {
  auto described = co_await services_.sql(describe);
  if (!described) {
    if (!is_missing(described.error())) co_return fail(std::move(described));
    auto created = co_await services_.sql(std::move(create));
    if (!created) co_return fail(std::move(created));
    co_return true;
  }
  existing_table existing;
  for (auto& row : *described) {
    if (row.size() >= 2 && row[0] && row[1]) existing.columns.push_back({*row[0], *row[1]});
  }
  auto changes = fit(existing);
  if (!changes) co_return fail(std::move(changes));
  if (auto changed = co_await run_all(std::move(*changes)); !changed) co_return fail(std::move(changed));
  co_return false;
}

asio::awaitable<result<bool>> snowflake_destination::prepare_landing(table_sql const& sql) {
  auto const fit = [&sql](existing_table const& there) { return sql.fit_landing(there); };
  auto made = co_await make_table(sql.create_landing(), sql.describe_landing(), fit);
  if (made || !is_missing(made.error())) co_return made;
  auto schema = co_await services_.sql(sql.create_schema());
  if (!schema) co_return fail(std::move(schema));
  co_return co_await make_table(sql.create_landing(), sql.describe_landing(), fit);
}

asio::awaitable<result<void>> snowflake_destination::prepare_target(table_sql const& sql, table_state& state) {
  apply_sql const apply(options_.all, std::make_shared<model::relation const>(sql.table()));
  switch (options_.all.apply) {
    case apply_mode::append:
      break;
    case apply_mode::view:
      if (auto made = co_await services_.sql(apply.create_view()); !made) co_return fail(std::move(made));
      break;
    case apply_mode::merge:
    case apply_mode::task: {
      auto const fit = [&sql](existing_table const& there) { return sql.fit_target(there); };
      auto made = co_await make_table(sql.create_target(), sql.describe_target(), fit);
      if (!made) co_return fail(std::move(made));
      state.created = *made;
      if (options_.all.apply == apply_mode::task) {
        if (auto ready = co_await run_all(apply.create_task()); !ready) co_return ready;
      }
      break;
    }
  }
  if (!state.created) {
    bool const in_landing = options_.all.apply == apply_mode::append || options_.all.apply == apply_mode::view;
    auto found = co_await has_rows(in_landing ? sql.count_landing() : sql.count_target());
    if (!found) co_return fail(std::move(found));
    state.has_rows = *found;
  }
  co_return result<void>();
}

asio::awaitable<result<void>> snowflake_destination::run_all(std::vector<std::string> statements) {
  for (auto& statement : statements) {
    auto done = co_await services_.sql(std::move(statement));
    if (!done) co_return fail(std::move(done));
  }
  co_return result<void>();
}

asio::awaitable<result<bool>> snowflake_destination::has_rows(std::string count) {
  auto rows = co_await services_.sql(std::move(count));
  if (!rows) co_return fail(std::move(rows));
  if (rows->size() != 1 || rows->front().size() != 1 || !rows->front().front()) {
    co_return error{severity::bug, "snowflake.answer", "Snowflake's answer to a count cannot be read"};
  }
  co_return *rows->front().front() != "0";
}

asio::awaitable<result<void>> snowflake_destination::open_lanes(replicated& table, table_names const& names) {
  for (unsigned i = 0; i < options_.channels; ++i) {
    auto name = channel_name(options_.all.pipeline, *table.relation, i, options_.channels);
    auto said = co_await services_.rows->open(names.landing(), name);
    if (!said) co_return fail(std::move(said));
    std::uint64_t seen_to = 0;
    if (quarantine_) {
      auto seen = co_await quarantine_->seen(name);
      if (!seen) co_return fail(std::move(seen));
      seen_to = *seen;
    }
    auto opened = lane::opened(std::move(name), *said, seen_to);
    if (!opened) co_return fail(std::move(opened));
    table.lanes.push_back(std::move(*opened));
  }
  co_return result<void>();
}

// --- rows ------------------------------------------------------------------------------------------------------------

result<void> snowflake_destination::check_rows(model::table_rows const& rows) const {
  auto const mode = options_.all.apply;
  if (mode != apply_mode::task && mode != apply_mode::view) return result<void>();
  bool const rekeys =
      std::any_of(rows.rows.begin(), rows.rows.end(), [](auto const& r) { return r.kind == model::operation::rekey; });
  if (!rekeys) return result<void>();
  error failure{
      severity::data, "destination.changed_key",
      fmt::format("an UPDATE of {} changed its key and left out unchanged values, which only apply = \"merge\" "
                  "can look up",
                  rows.table->quoted_name()),
      fmt::format("At the source: ALTER TABLE {} REPLICA IDENTITY FULL; or set destination.apply.",
                  rows.table->quoted_name())};
  failure.table = rows.table->oid;
  return failure;
}

// The rows behind what the lane holds already, cut into requests.
void snowflake_destination::add_unknown(std::vector<piece>& to, lane const& known,
                                        model::table_rows const& rows) const {
  if (rows.last <= known.committed()) return;
  auto const bytes = rows.bytes.view();
  auto const position_at = [&](std::size_t offset) {
    // What cannot be read is sent rather than left out.
    return position_in(bytes.substr(offset)).value_or(rows.last);
  };
  std::size_t at = 0, i = 0;
  while (position_at(at) <= known.committed()) at += rows.rows[i++].size;
  while (i < rows.rows.size()) {
    auto const begin = at;
    piece next{.first = position_at(at)};
    auto last = at;
    do {
      last = at;
      at += rows.rows[i++].size;
      ++next.count;
    } while (i < rows.rows.size() && at + rows.rows[i].size - begin <= largest_request);
    next.last = position_at(last);
    next.rows = bytes.substr(begin, at - begin);
    to.push_back(next);
  }
}

asio::awaitable<result<void>> snowflake_destination::write(model::batch& batch) {
  pieces waiting;
  std::deque<std::string> markers;  // rows of this function's own, among the pieces
  // A task takes what it sees: neither may later rows be there without a TRUNCATE, nor that without earlier ones.
  bool const apart = options_.all.apply == apply_mode::task;
  for (auto& step : batch.steps) {
    if (auto const* event = std::get_if<model::truncation>(&step)) {
      if (apart) {
        if (auto sent = co_await deliver(std::exchange(waiting, {})); !sent) co_return judged(fail(std::move(sent)));
      }
      truncate(*event, waiting, markers);
      if (apart) {
        if (auto sent = co_await deliver(std::exchange(waiting, {})); !sent) co_return judged(fail(std::move(sent)));
      }
      continue;
    }
    auto const& rows = std::get<model::table_rows>(step);
    auto const at = tables_.find(rows.table->oid);
    if (at == tables_.end() || rows.lane >= at->second.lanes.size()) {
      co_return error{severity::bug, "destination.unknown_table", "rows came for a table that was not announced"};
    }
    if (auto checked = check_rows(rows); !checked) co_return checked;
    auto& to = at->second.lanes[rows.lane];
    add_unknown(waiting[&to], to, rows);
    if (applier_) applier_->rows_arrived(rows.table->oid, rows.last);
  }
  if (auto sent = co_await send(std::move(waiting)); !sent) co_return judged(fail(std::move(sent)));
  accepted_ = std::max(accepted_, batch.last);
  totals_.rows += batch.rows;
  totals_.bytes += batch.bytes;
  co_return result<void>();
}

asio::awaitable<result<void>> snowflake_destination::send(pieces what) {
  auto const feed = [this](lane& to, std::vector<piece> parts) -> asio::awaitable<result<void>> {
    for (auto next = parts.begin(); next != parts.end();) {
      // Each request has its price, and a channel takes few of them a second.
      auto part = *next++;
      std::string joined;
      for (; next != parts.end() && part.rows.size() + next->rows.size() <= largest_request; ++next) {
        if (joined.empty()) joined = part.rows;
        joined += next->rows;
        part = {joined, part.count + next->count, part.first, next->last};
      }
      auto sent = co_await services_.rows->append(to.channel(), part.rows, part.count, part.first, part.last);
      if (!sent) co_return sent;
      to.sent(part.first, part.last, part.count);
      if (!quarantine_) continue;
      kept_[&to].push_back({std::string(part.rows), part.last});
      kept_bytes_ += part.rows.size();
    }
    co_return result<void>();
  };
  if (what.empty()) co_return result<void>();
  if (kept_bytes_ > most_kept) {
    if (auto settled = co_await settle(); !settled) co_return settled;
  }
  if (what.size() == 1) co_return co_await feed(*what.begin()->first, std::move(what.begin()->second));
  runtime::task_group group(co_await asio::this_coro::executor);
  for (auto& [to, parts] : what) group.spawn(feed(*to, std::move(parts)), "lane");
  co_return co_await group.join();
}

// Until it is delivered.
asio::awaitable<result<void>> snowflake_destination::deliver(pieces what) {
  if (auto sent = co_await send(std::move(what)); !sent) co_return sent;
  co_return co_await settle();
}

// A TRUNCATE is a row of each table's first lane. Its position tells what it removes, whatever the order between lanes.
void snowflake_destination::truncate(model::truncation const& event, pieces& to, std::deque<std::string>& markers) {
  auto const& names = options_.all.metadata;
  auto const line =
      fmt::format("{{{}:\"{}\",{}:\"truncate\",{}:null}}\n", encode::quote_json(names.position), event.at.to_text(),
                  encode::quote_json(names.operation), encode::quote_json(names.commit_time));
  for (auto const& relation : event.tables) {
    auto const at = tables_.find(relation->oid);
    if (at == tables_.end()) continue;
    if (applier_) applier_->rows_arrived(relation->oid, event.at);
    auto& first = at->second.lanes.front();
    if (event.at > first.committed()) to[&first].push_back({markers.emplace_back(line), 1, event.at, event.at});
  }
}

// --- what is durable -------------------------------------------------------------------------------------------------

asio::awaitable<void> snowflake_destination::pace() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(asked_ + status_pace);
  co_await timer.async_wait(asio::use_awaitable);
  asked_ = clock::now();
}

// One round trip for all channels that owe something.
asio::awaitable<result<void>> snowflake_destination::learn() {
  std::vector<lane*> owing;
  std::vector<std::string> channels;
  for (auto& [oid, table] : tables_) {
    for (auto& lane : table.lanes) {
      if (lane.idle()) continue;
      owing.push_back(&lane);
      channels.push_back(lane.channel());
    }
  }
  if (owing.empty()) co_return result<void>();
  co_await pace();
  auto said = co_await services_.rows->status(channels);
  if (!said) co_return fail(std::move(said));
  if (said->size() != owing.size()) {
    co_return error{severity::bug, "snowflake.answer", "the transport's answer has not every channel"};
  }
  if (quarantine_) {
    auto seen_to = co_await see_to_refused(owing, *said);
    if (!seen_to) co_return fail(std::move(seen_to));
    if (!*seen_to) co_return result<void>();  // not all is known yet: asked again
  }
  for (std::size_t i = 0; i < owing.size(); ++i) {
    if (auto learned = owing[i]->learn((*said)[i], clock::now()); !learned) co_return learned;
    auto const at = kept_.find(owing[i]);
    if (at == kept_.end()) continue;
    for (auto& rows = at->second; !rows.empty() && rows.front().last <= owing[i]->committed(); rows.pop_front()) {
      kept_bytes_ -= rows.front().rows.size();
    }
  }
  co_return result<void>();
}

// --- refused rows ----------------------------------------------------------------------------------------------------

// True: what was refused is put aside, or cannot be. False: not all is known yet, to be asked again. A lane with
// refused rows may not have passed all that it was sent, or counters and rows may not show the same moment.
asio::awaitable<result<bool>> snowflake_destination::see_to_refused(std::vector<lane*> const& owing,
                                                                    std::vector<channel_status> const& said) {
  for (std::size_t i = 0; i < owing.size(); ++i) {
    if (owing[i]->newly_refused(said[i]) == 0 || !said[i].valid) continue;
    if (!owing[i]->has_passed_all(said[i])) co_return false;
    auto done = co_await put_aside(*owing[i], said[i]);
    if (!done) co_return fail(std::move(done));
    if (*done) continue;
    if (unclear_since_ == clock::time_point{}) unclear_since_ = clock::now();
    co_return clock::now() - unclear_since_ > longest_unclear;
  }
  unclear_since_ = {};
  co_return true;
}

// False: the rows that are missing are not as many as were refused.
asio::awaitable<result<bool>> snowflake_destination::put_aside(lane& from, channel_status const& status) {
  std::string landing;
  for (auto const& [oid, table] : tables_) {
    bool const owns =
        std::any_of(table.lanes.begin(), table.lanes.end(), [&](lane const& one) { return &one == &from; });
    if (owns) landing = table_names(options_.all, *table.relation).quoted_landing();
  }
  std::string lines;
  std::uint64_t found = 0;
  for (auto const& part : kept_[&from]) {
    auto missing = co_await missing_in_landing(landing, part.rows);
    if (!missing) co_return fail(std::move(missing));
    found += missing->size();
    for (std::string_view rest = part.rows; !rest.empty();) {
      auto const line = rest.substr(0, rest.find('\n') + 1);
      if (auto const at = position_in(line); at && missing->contains(*at)) lines += line;
      rest.remove_prefix(line.size());
    }
  }
  auto const refused = from.newly_refused(status);
  if (found != refused) co_return false;
  if (auto kept = co_await quarantine_->put_aside(from.channel(), std::move(lines), status.errors); !kept) {
    co_return fail(std::move(kept));
  }
  from.saw_to_refused(status);
  log::warning("rows that Snowflake has refused are put aside", {{"pipeline", options_.all.pipeline},
                                                                 {"channel", from.channel()},
                                                                 {"rows", static_cast<std::int64_t>(refused)},
                                                                 {"file", quarantine_->rows_file(from.channel())}});
  co_return true;
}

// The positions of those lines that no row of the landing table has.
asio::awaitable<result<std::set<position>>> snowflake_destination::missing_in_landing(std::string landing,
                                                                                      std::string_view rows) {
  auto const column = encode::quote_json(options_.all.metadata.position);
  std::set<position> missing;
  while (!rows.empty()) {
    std::string asked;
    position first{}, last{};
    for (std::size_t count = 0; count < positions_a_question && !rows.empty(); ++count) {
      auto const at = position_in(rows).value_or(last);
      if (count == 0) first = at;
      last = at;
      asked += fmt::format("{}('{}')", count == 0 ? "" : ", ", at.to_text());
      rows.remove_prefix(rows.find('\n') + 1);
    }
    auto answer = co_await services_.sql(
        fmt::format("SELECT \"sent\".\"at\" FROM (VALUES {}) AS \"sent\" (\"at\") WHERE \"sent\".\"at\" NOT IN "
                    "(SELECT {} FROM {} WHERE {} BETWEEN '{}' AND '{}')",
                    asked, column, landing, column, first.to_text(), last.to_text()));
    if (!answer) co_return fail(std::move(answer));
    for (auto const& row : *answer) {
      if (row.size() != 1 || !row.front()) continue;
      if (auto const at = position::parse(*row.front())) missing.insert(*at);
    }
  }
  co_return missing;
}

std::optional<position> snowflake_destination::position_in(std::string_view line) const {
  return position::parse(line.substr(position_offset_, position::text_size));
}

// Waits until everything that was sent is delivered.
asio::awaitable<result<void>> snowflake_destination::settle() {
  for (;;) {
    bool const idle = std::all_of(tables_.begin(), tables_.end(), [](auto const& entry) {
      return std::all_of(entry.second.lanes.begin(), entry.second.lanes.end(), [](auto const& l) { return l.idle(); });
    });
    if (idle) co_return result<void>();
    if (auto learned = co_await learn(); !learned) co_return learned;
  }
}

position snowflake_destination::delivered() {
  std::vector<lane const*> lanes;
  for (auto const& [oid, table] : tables_) {
    for (auto const& lane : table.lanes) lanes.push_back(&lane);
  }
  return snowflake::delivered(lanes, accepted_);
}

asio::awaitable<result<position>> snowflake_destination::flush() {
  if (applier_) {
    if (auto failure = applier_->take_failure()) co_return judged(std::move(*failure));
  }
  if (auto learned = co_await learn(); !learned) co_return judged(fail(std::move(learned)));
  auto const durable = delivered();
  if (applier_) applier_->delivered(durable);
  co_return durable;
}

void snowflake_destination::passed_recovered() {
  if (applier_) applier_->delivered(std::max(accepted_, furthest_));
}

asio::awaitable<result<void>> snowflake_destination::catch_up() {
  if (!applier_) co_return result<void>();
  co_await applier_->stop();
  if (auto failure = applier_->take_failure()) co_return judged(std::move(*failure));
  applier_->delivered(end_of_everything);
  auto applied = co_await applier_->apply_all();
  if (!applied) co_return judged(fail(std::move(applied)));
  co_return result<void>();
}

asio::awaitable<void> snowflake_destination::close() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (applier_) co_await applier_->stop();
  if (services_.rows) co_await services_.rows->close();
}

error snowflake_destination::judged(error why) {
  if (why.code != "snowflake.fenced" || options_.memory == nullptr) return why;
  auto memory = std::static_pointer_cast<fence_memory>(*options_.memory);
  if (!memory) {
    memory = std::make_shared<fence_memory>();
    *options_.memory = memory;
  }
  auto const now = clock::now();
  bool const again = memory->last != clock::time_point{} && now - memory->last < fence_window;
  memory->last = now;
  if (!again) return why;
  why.kind = severity::config;
  why.message += "; it happened before within a minute, so another process writes to this channel";
  why.hint = "Stop the other etl-stream that runs this pipeline, or give one of the two another name.";
  return why;
}

}  // namespace etl::destination
