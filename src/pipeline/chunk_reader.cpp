#include "pipeline/chunk_reader.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <chrono>

#include "encode/copy_input.hpp"
#include "encode/key.hpp"
#include "pg/key_operators.hpp"
#include "runtime/pause.hpp"

namespace etl::pipeline {
namespace {

constexpr std::string_view table_changed = "42703";  // undefined_column, as when it is noticed by the server

std::string column_list(model::relation const& table) {
  std::string list;
  for (auto const& column : table.columns) list += (list.empty() ? "" : ", ") + model::quote_identifier(column.name);
  return list;
}

std::string copy_sql(model::relation const& table, catalog::storage const& part, std::string const& row_filter,
                     std::uint32_t first, std::uint32_t end, bool to_the_end, bool binary) {
  auto sql = fmt::format("COPY (SELECT {} FROM ONLY {} WHERE ctid >= '({},0)'::tid", column_list(table),
                         part.quoted_name, first);
  if (!to_the_end) sql += fmt::format(" AND ctid < '({},0)'::tid", end);
  if (!row_filter.empty()) sql += fmt::format(" AND ({})", row_filter);
  return sql + ") TO STDOUT" + (binary ? " (FORMAT binary)" : "");
}

std::string lock_list(model::relation const& table, std::span<catalog::storage const> parts) {
  auto list = "ONLY " + table.quoted_name();
  for (auto const& part : parts) {
    if (part.oid != table.oid) list += ", ONLY " + part.quoted_name;
  }
  return list;
}

// An expression that is the number of the table's columns as long as they are what `table` says.
std::string count_same_columns(model::relation const& table) {
  std::string values;
  for (auto const& c : table.columns) {
    values += fmt::format("{}({}, {}, {}, {})", values.empty() ? "" : ", ", c.attribute_number,
                          model::quote_literal(c.name), c.type_oid, c.type_modifier);
  }
  if (values.empty()) return "0";
  return fmt::format(
      "(SELECT count(*) FROM (VALUES {}) AS v(number, name, type, modifier) JOIN pg_catalog.pg_attribute AS a "
      "ON a.attrelid = {} AND a.attnum = v.number AND a.attname = v.name AND a.atttypid = v.type::oid "
      "AND a.atttypmod = v.modifier AND NOT a.attisdropped)",
      values, table.oid);
}

}  // namespace

asio::awaitable<result<void>> chunk_reader::connect() {
  if (interrupted_) co_return error{severity::retry, "copy.interrupted", "the copy was interrupted"};
  if (connection_ && !connection_->broken()) co_return result<void>();
  auto made = co_await pg::connection::connect(options_);
  if (!made) co_return fail(std::move(made));
  connection_ = std::move(*made);
  if (interrupted_) co_return error{severity::retry, "copy.interrupted", "the copy was interrupted"};
  co_return result<void>();
}

void chunk_reader::interrupt() {
  interrupted_ = true;
  if (connection_) ::shutdown(connection_->native_socket(), SHUT_RDWR);
}

asio::awaitable<result<void>> chunk_reader::begin(model::relation const& table, std::span<catalog::storage const> parts,
                                                  judge const& accept) {
  // Locked before the snapshot is taken: it sees the heaps and the columns that are read.
  auto const sql = fmt::format(
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE {} IN ACCESS SHARE MODE; "
      "SELECT pg_current_snapshot(), {}",
      lock_list(table, parts), count_same_columns(table));
  for (;;) {
    auto taken = co_await connection_->query(sql, "taking a snapshot");
    if (!taken) co_return fail(std::move(taken));
    if (static_cast<std::size_t>(taken->integer(0, 1)) != table.columns.size()) {
      error changed{severity::retry, "copy.table_changed",
                    fmt::format("{} was changed while it was to be read", table.quoted_name())};
      changed.sqlstate = table_changed;
      co_return changed;
    }
    auto snapshot = replication::snapshot::parse(taken->text(0, 0));
    if (!snapshot) co_return error{severity::bug, "copy.snapshot", "the server's snapshot cannot be read"};
    auto verdict = co_await accept(std::move(*snapshot));
    if (!verdict) co_return fail(std::move(verdict));
    if (*verdict == snapshot_verdict::use_it) co_return result<void>();
    if (auto ended = co_await connection_->query("ROLLBACK", "giving a snapshot back"); !ended)
      co_return fail(std::move(ended));
    co_await runtime::pause(std::chrono::milliseconds(*verdict == snapshot_verdict::take_another ? 1 : 100));
  }
}

result<void> chunk_reader::take_row(model::relation const& table, std::vector<pgoutput::value> const& values,
                                    chunk_answer& into) {
  if (values.size() != table.columns.size()) {
    return error{severity::bug, "copy.columns",
                 fmt::format("a row of {} came with {} columns instead of {}", table.quoted_name(), values.size(),
                             table.columns.size())};
  }
  auto const before = into.rows.bytes.size();
  if (auto encoded = encoder_->encode(into.rows.bytes, model::operation::copy, {}, 0, {}, values); !encoded) {
    auto failure = fail(std::move(encoded));
    failure.table = table.oid;
    return failure;
  }
  into.rows.rows.push_back(
      {static_cast<std::uint32_t>(into.rows.bytes.size() - before), model::operation::copy, false});
  if (!table.key.empty()) into.rows.hashes.push_back(encode::hash_key(values, table.key));
  return result<void>();
}

asio::awaitable<result<void>> chunk_reader::copy_rows(std::string sql, chunk_answer& into, std::size_t most_bytes) {
  if (auto begun = co_await connection_->begin_copy_out(std::move(sql), "copying a table"); !begun) co_return begun;
  encode::copy_input input(binary(), !into.rows.table->columns.empty());
  std::vector<pgoutput::value> values;
  auto const& table = *into.rows.table;
  for (;;) {
    std::string_view message;
    auto const got = connection_->next_copy(message);
    if (!got) co_return fail(result(got));
    if (*got == pg::connection::got::end) break;
    if (*got == pg::connection::got::nothing_yet) {
      if (into.rows.bytes.size() > most_bytes) {
        into.too_big = true;
        connection_.reset();  // the quickest way out of a COPY
        co_return result<void>();
      }
      if (auto waited = co_await connection_->wait_readable(); !waited) co_return waited;
      if (auto taken = connection_->take_in(); !taken) co_return taken;
      continue;
    }
    auto const is_row = input.split(message, values);
    if (!is_row) co_return fail(result(is_row));
    if (!*is_row) continue;
    if (auto taken = take_row(table, values, into); !taken) {
      connection_.reset();
      co_return taken;
    }
  }
  co_return co_await connection_->end_copy_out("copying a table");
}

asio::awaitable<result<void>> chunk_reader::fetch_keys(chunk_request const& request, chunk_answer& into) {
  auto const& table = *request.table;
  auto equals = co_await pg::find_key_operators(*connection_, table);
  if (!equals) co_return fail(std::move(equals));
  auto sql = fmt::format("SELECT {} FROM {} WHERE ", column_list(table), table.quoted_name());
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    sql += (i == 0 ? "" : " AND ") + pg::key_equals(table.columns[table.key[i]], (*equals)[i], i + 1);
  }
  if (!request.row_filter.empty()) sql += fmt::format(" AND ({})", request.row_filter);
  std::vector<pg::statement> statements;
  for (auto const& key : request.keys) {
    pg::statement one{.sql = sql, .binary_results = binary()};
    for (std::size_t i = 0; i < key.values.size(); ++i) {
      one.parameters.push_back({std::string_view(key.values[i]), key.kinds[i] == pgoutput::value_kind::binary});
    }
    statements.push_back(std::move(one));
  }
  auto answers = co_await connection_->pipeline(statements, "reading rows by their keys");
  if (!answers) co_return fail(std::move(answers));
  std::vector<pgoutput::value> values(table.columns.size());
  for (auto const& rows : *answers) {
    for (std::size_t row = 0; row < rows.size(); ++row) {
      for (std::size_t c = 0; c < values.size(); ++c) {
        if (rows.is_null(row, c)) {
          values[c] = {pgoutput::value_kind::null, {}};
        } else {
          values[c] = {binary() ? pgoutput::value_kind::binary : pgoutput::value_kind::text, rows.text(row, c)};
        }
      }
      if (auto taken = take_row(table, values, into); !taken) co_return taken;
    }
  }
  co_return result<void>();
}

// The lock that the COPY took is still held: the file node is that of the heap that was read.
asio::awaitable<result<void>> chunk_reader::finish(std::uint32_t heap, chunk_answer& into) {
  auto answer = co_await connection_->query(
      fmt::format("SELECT pg_relation_filenode({}), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
                  "ELSE pg_current_wal_insert_lsn() END",
                  heap),
      "ending a chunk");
  if (!answer) co_return fail(std::move(answer));
  into.filenode = static_cast<std::uint32_t>(answer->integer(0, 0));
  auto const high = lsn::parse(answer->text(0, 1));
  if (!high) co_return error{severity::bug, "copy.high", "the server's WAL position cannot be read"};
  into.high = *high;
  co_return result<void>();
}

asio::awaitable<result<chunk_answer>> chunk_reader::read(chunk_request request, judge accept) {
  if (auto connected = co_await connect(); !connected) co_return fail(std::move(connected));
  if (encoder_table_ != request.table) {
    encoder_ = std::make_unique<row_encoder>(wants_, request.table, ndjson_);
    encoder_table_ = request.table;
  }
  if (auto begun = co_await begin(*request.table, std::span(&request.part, 1), accept); !begun) {
    connection_.reset();
    co_return fail(std::move(begun));
  }
  chunk_answer answer;
  answer.rows.table = request.table;
  auto read = request.keys.empty()
                  ? co_await copy_rows(copy_sql(*request.table, request.part, request.row_filter, request.first,
                                                request.end, request.to_the_end, binary()),
                                       answer, request.end - request.first > 1 ? request.most_bytes : SIZE_MAX)
                  : co_await fetch_keys(request, answer);
  if (read && answer.too_big) {
    chunk_answer refused;
    refused.too_big = true;
    co_return refused;
  }
  if (read) read = co_await finish(request.part.oid, answer);
  if (read) {
    auto ended = co_await connection_->query("COMMIT", "ending a chunk");
    if (!ended) read = fail(std::move(ended));
  }
  if (!read) {
    connection_.reset();
    co_return fail(std::move(read));
  }
  co_return answer;
}

asio::awaitable<result<lsn>> chunk_reader::read_whole(model::relation_ptr table, std::vector<catalog::storage> parts,
                                                      std::string row_filter, std::uint32_t blocks_a_piece,
                                                      judge accept, taker take) {
  if (auto connected = co_await connect(); !connected) co_return fail(std::move(connected));
  encoder_ = std::make_unique<row_encoder>(wants_, table, ndjson_);
  encoder_table_ = table;
  result<lsn> outcome = lsn{};
  if (auto begun = co_await begin(*table, parts, accept); begun) {
    outcome = co_await read_parts(table, parts, row_filter, blocks_a_piece, take);
  } else {
    outcome = fail(std::move(begun));
  }
  connection_.reset();  // and with it the snapshot
  co_return outcome;
}

asio::awaitable<result<lsn>> chunk_reader::read_parts(model::relation_ptr table,
                                                      std::vector<catalog::storage> const& parts,
                                                      std::string const& row_filter, std::uint32_t blocks_a_piece,
                                                      taker const& take) {
  chunk_answer last;
  for (auto const& part : parts) {
    auto const blocks = std::max(part.blocks, 1u);
    for (std::uint32_t first = 0; first < blocks; first += blocks_a_piece) {
      chunk_answer piece;
      piece.rows.table = table;
      auto copied = co_await copy_rows(
          copy_sql(*table, part, row_filter, first, first + blocks_a_piece, first + blocks_a_piece >= blocks, binary()),
          piece, SIZE_MAX);
      if (!copied) co_return fail(std::move(copied));
      auto go_on = co_await take(std::move(piece));
      if (!go_on) co_return fail(std::move(go_on));
      if (!*go_on) co_return lsn{};
    }
    if (auto finished = co_await finish(part.oid, last); !finished) co_return fail(std::move(finished));
  }
  co_return last.high;
}

}  // namespace etl::pipeline
