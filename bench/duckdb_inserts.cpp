// Rows a second from encoded tuples into a DuckDB file, committed after every batch: 2 M inserts of 8 columns and about
// 180 bytes, fed from memory as fast as they are taken. Arguments: the file to make, the virtual environment.
#include <fmt/format.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "destination/factory.hpp"
#include "encode/copy_rows.hpp"
#include "python/interpreter.hpp"

namespace {

using namespace etl;
namespace asio = boost::asio;

constexpr std::size_t rows_a_batch = 100'000;
constexpr std::size_t batches = 20;

model::relation_ptr make_table() {
  constexpr std::pair<char const*, std::uint32_t> columns[] = {{"id", 20},   {"customer", 23},  {"amount", 1700},
                                                               {"paid", 16}, {"created", 1184}, {"status", 25},
                                                               {"note", 25}, {"extra", 3802}};
  auto table = std::make_shared<model::relation>();
  table->oid = 16384;
  table->schema = "public";
  table->name = "orders";
  for (auto const& [name, type] : columns)
    table->columns.push_back({.name = name, .type_oid = type, .base_type_oid = type});
  table->columns[2].base_type_name = "numeric(12,2)";
  table->key = {0};
  return table;
}

model::batch make_batch(model::relation_ptr const& table, std::size_t number) {
  model::table_rows rows{.table = table};
  for (std::size_t i = 0; i < rows_a_batch; ++i) {
    auto const id = number * rows_a_batch + i;
    std::array<std::string, 8> const values{std::to_string(1'000'000 + id),
                                            std::to_string(id % 5000),
                                            fmt::format("{}.25", id % 1000),
                                            id % 2 == 0 ? "t" : "f",
                                            "2026-01-02 03:04:05.123456+00",
                                            "delivered",
                                            fmt::format("Leave parcel {} with the neighbours on the second floor.", id),
                                            R"({"source": "web", "items": 3})"};
    std::vector<pgoutput::value> tuple;
    for (auto const& text : values) tuple.push_back({pgoutput::value_kind::text, text});
    auto const before = rows.bytes.size();
    encode::encode_copy_row(rows.bytes, *table, model::operation::insert, {}, tuple).value();
    rows.rows.push_back({.size = static_cast<std::uint32_t>(rows.bytes.size() - before)});
    rows.origins.push_back({{lsn{number + 1}, 2 * i}, 0});
  }
  rows.first = rows.origins.front().at;
  rows.last = rows.origins.back().at;
  model::batch made{.last = rows.last, .rows = rows_a_batch, .bytes = rows.bytes.size()};
  made.steps.emplace_back(std::move(rows));
  return made;
}

// value() throws on an error, which ends the program with its text.
asio::awaitable<void> feed(destination::destination& to) {
  auto const table = make_table();
  (co_await to.open()).value();
  (co_await to.ensure_table(table)).value();
  std::vector<model::batch> all;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < batches; ++i) bytes += all.emplace_back(make_batch(table, i)).bytes;
  auto const start = std::chrono::steady_clock::now();
  for (auto& batch : all) {
    (co_await to.write(batch)).value();
    (co_await to.flush()).value();
  }
  std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
  auto const rows = static_cast<double>(batches * rows_a_batch);
  fmt::print("{:.0f} rows/s, {:.0f} MB/s of tuples\n", rows / took.count(),
             static_cast<double>(bytes) / 1e6 / took.count());
  co_await to.close();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    fmt::print(stderr, "usage: duckdb_inserts FILE VENV\n");
    return 2;
  }
  python::interpreter python({.venv = arguments[2], .venv_required = true});
  config::pipeline_config pipeline;
  pipeline.name = "bench";
  pipeline.destination.type = config::destination_type::duckdb;
  pipeline.destination.duckdb.path = arguments[1];
  auto to = destination::make(pipeline, {.python = &python}).value();
  asio::io_context home(1);
  std::exception_ptr failed;
  asio::co_spawn(home, feed(*to), [&](std::exception_ptr thrown) { failed = std::move(thrown); });
  home.run();
  if (failed) std::rethrow_exception(failed);
  return 0;
}
