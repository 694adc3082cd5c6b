#include "pipeline/batch_builder.hpp"

#include <catch2/catch.hpp>
#include <map>

using namespace etl;
using namespace etl::pipeline;
using pgoutput::value_kind;

namespace {

model::relation_ptr table(std::uint32_t oid) {
  auto made = std::make_shared<model::relation>();
  made->oid = oid;
  made->schema = "public";
  made->name = "t";
  made->name += std::to_string(oid);
  model::column id;
  id.name = "id";
  id.type_oid = id.base_type_oid = 23;
  id.key = true;
  made->columns.push_back(id);
  made->key.push_back(0);
  return made;
}

constexpr auto text_rows = destination::encoding::copy_text;

batch_builder::target target_of(model::relation_ptr of, destination::encoding wants = text_rows) {
  return {of, row_encoder(wants, of, {})};
}

void add(batch_builder& builder, batch_builder::target& to, std::uint64_t ordinal,
         model::operation kind = model::operation::insert) {
  pgoutput::value const one[] = {{value_kind::text, "1"}};
  bool const removes = kind == model::operation::remove;
  REQUIRE(builder
              .add(to, kind, {lsn{100}, ordinal}, 0, removes ? pgoutput::tuple(one) : pgoutput::tuple{},
                   removes ? pgoutput::tuple{} : pgoutput::tuple(one))
              .has_value());
}

std::vector<std::string> names(model::batch const& taken) {
  std::vector<std::string> found;
  for (auto const& step : taken.steps) {
    if (auto const* rows = std::get_if<model::table_rows>(&step)) {
      found.push_back(rows->table->name + " " + std::to_string(rows->rows.size()) + (rows->copied ? " copied" : ""));
    } else {
      found.push_back("truncate");
    }
  }
  return found;
}

}  // namespace

TEST_CASE("rows of a table gather in one segment, whatever comes between") {
  batch_builder builder({}, text_rows, {100, 1 << 20});
  auto a = target_of(table(1)), b = target_of(table(2));
  add(builder, a, 0);
  add(builder, b, 2);
  add(builder, a, 4);
  CHECK(names(builder.take()) == std::vector<std::string>{"t1 2", "t2 1"});
}

TEST_CASE("a destination that wants the order across tables gets it") {
  batch_builder builder({.orders_tables = true}, text_rows, {100, 1 << 20});
  auto a = target_of(table(1)), b = target_of(table(2));
  add(builder, a, 0);
  add(builder, a, 2);
  add(builder, b, 4);
  add(builder, a, 6);
  CHECK(names(builder.take()) == std::vector<std::string>{"t1 2", "t2 1", "t1 1"});
}

TEST_CASE("nothing moves across a truncation, a chunk or a new batch") {
  batch_builder builder({}, text_rows, {100, 1 << 20});
  auto a = target_of(table(1));
  add(builder, a, 0);
  builder.add_truncation({.tables = {a.table()}, .at = {lsn{100}, 2}});
  add(builder, a, 4);
  chunk_rows chunk{.table = a.table(), .bytes = {}, .rows = {{5, model::operation::copy, false}}};
  chunk.bytes.append("12345");
  builder.add_chunk(std::move(chunk), {lsn{100}, 1ull << 63});
  add(builder, a, 6);
  CHECK(names(builder.take()) == std::vector<std::string>{"t1 1", "truncate", "t1 1", "t1 1 copied", "t1 1"});
  add(builder, a, 8);
  CHECK(names(builder.take()) == std::vector<std::string>{"t1 1"});
}

TEST_CASE("a batch says where it ends") {
  batch_builder builder({}, text_rows, {2, 1 << 20});
  auto a = target_of(table(1));
  builder.begin_transaction();
  add(builder, a, 0);
  CHECK_FALSE(builder.at_boundary());
  CHECK_FALSE(builder.full());
  add(builder, a, 2, model::operation::remove);
  CHECK(builder.full());
  auto const first = builder.take();
  CHECK_FALSE(first.ends_transaction);
  CHECK(first.last == position{lsn{100}, 2});
  CHECK_FALSE(std::get<model::table_rows>(first.steps[0]).only_new);
  CHECK(builder.empty());
  add(builder, a, 4);
  builder.end_transaction({lsn{100}, 4}, lsn{120}, 7);
  auto const second = builder.take();
  CHECK(second.ends_transaction);
  CHECK(second.end == lsn{120});
  CHECK(std::get<model::table_rows>(second.steps[0]).only_new);
}

TEST_CASE("rows of a chunk get consecutive positions when they are let in") {
  constexpr auto ndjson = destination::encoding::ndjson;
  batch_builder builder({}, ndjson, {100, 1 << 20});
  auto const of = table(1);
  row_encoder encoder(ndjson, of, {});
  chunk_rows chunk{.table = of, .bytes = {}, .rows = {}};
  for (char const* id : {"7", "8"}) {
    pgoutput::value const row[] = {{value_kind::text, id}};
    auto const before = chunk.bytes.size();
    REQUIRE(encoder.encode(chunk.bytes, model::operation::copy, {}, 0, {}, row).has_value());
    chunk.rows.push_back({static_cast<std::uint32_t>(chunk.bytes.size() - before), model::operation::copy, false});
  }
  position const first{lsn{0xAB}, (1ull << 63) + 5};
  builder.add_chunk(std::move(chunk), first);
  auto const taken = builder.take();
  auto const& rows = std::get<model::table_rows>(taken.steps[0]);
  CHECK(rows.last == position{first.commit, first.ordinal + 1});
  CHECK(taken.last == rows.last);
  auto const text = std::string(rows.bytes.view());
  CHECK(text.find(first.to_text()) != std::string::npos);
  CHECK(text.find(rows.last.to_text()) != std::string::npos);
}

TEST_CASE("the last document of a key counts") {
  batch_builder builder({}, text_rows, {100, 1 << 20});
  builder.add_document({"a", "1"});
  builder.add_document({"b", "1"});
  builder.add_document({"a", "2"});
  auto const taken = builder.take();
  REQUIRE(taken.documents.size() == 2);
  CHECK(taken.documents[0].value == "2");
}

TEST_CASE("a transaction whose rows just filled a batch still sends its end") {
  batch_builder builder({}, text_rows, {2, 1 << 20});
  auto a = target_of(table(1));
  builder.begin_transaction();
  add(builder, a, 0);
  add(builder, a, 2);
  REQUIRE(builder.full());
  CHECK_FALSE(builder.take().ends_transaction);
  CHECK(builder.empty());
  builder.end_transaction({lsn{100}, 2}, lsn{120}, 0);
  REQUIRE_FALSE(builder.empty());
  auto const end = builder.take();
  CHECK(end.steps.empty());
  CHECK(end.ends_transaction);
  CHECK(end.last == position{lsn{100}, 2});
  CHECK(end.end == lsn{120});
  CHECK(builder.empty());
}

TEST_CASE("batches end with a transaction where they can") {
  struct {
    std::size_t rows;  // of the transaction, 10 being the limit
    bool ends;
    bool full;
    bool full_where_split;
  } const cases[] = {
      {4, true, false, false},  {5, true, true, false},  {5, false, false, false},
      {9, false, false, false}, {10, false, true, true}, {10, true, true, true},
  };
  for (auto const& c : cases) {
    CAPTURE(c.rows, c.ends);
    for (bool const splits : {false, true}) {
      batch_builder builder({.splits_transactions = splits}, text_rows, {10, 1 << 20});
      auto a = target_of(table(1));
      builder.begin_transaction();
      for (std::size_t n = 0; n < c.rows; ++n) add(builder, a, 2 * n);
      if (c.ends) builder.end_transaction({lsn{100}, 2 * c.rows}, lsn{120}, 0);
      CHECK(builder.full() == (splits ? c.full_where_split : c.full));
    }
  }
}

TEST_CASE("the batch after one that ended inside a transaction ends with it") {
  batch_builder builder({}, text_rows, {10, 1 << 20});
  auto a = target_of(table(1));
  builder.begin_transaction();
  for (std::uint64_t n = 0; n < 10; ++n) add(builder, a, 2 * n);
  CHECK_FALSE(builder.take().ends_transaction);
  add(builder, a, 20);
  CHECK_FALSE(builder.full());
  builder.end_transaction({lsn{100}, 20}, lsn{120}, 0);
  CHECK(builder.full());
  CHECK(builder.take().ends_transaction);
}

namespace {

constexpr destination::capabilities three_lanes{.row_origins = true, .lanes = 3};

struct placed {
  std::uint16_t lane;
  position at;
};

std::vector<placed> places(model::batch const& taken) {
  std::vector<placed> found;
  for (auto const& step : taken.steps) {
    auto const& rows = std::get<model::table_rows>(step);
    REQUIRE(rows.origins.size() == rows.rows.size());
    CHECK(rows.first == rows.origins.front().at);
    CHECK(rows.last == rows.origins.back().at);
    for (auto const& origin : rows.origins) found.push_back({rows.lane, origin.at});
  }
  return found;
}

void add_value(batch_builder& builder, batch_builder::target& to, std::uint64_t ordinal, std::string const& value,
               model::operation kind) {
  pgoutput::value const one[] = {{value_kind::text, value}};
  bool const removes = kind == model::operation::remove;
  REQUIRE(builder
              .add(to, kind, {lsn{100}, ordinal}, 7, removes ? pgoutput::tuple(one) : pgoutput::tuple{},
                   removes ? pgoutput::tuple{} : pgoutput::tuple(one))
              .has_value());
}

}  // namespace

TEST_CASE("all changes of one key go by one lane, in order; other keys by others") {
  batch_builder builder(three_lanes, text_rows, {1000, 1 << 20});
  auto a = target_of(table(1));
  std::uint64_t ordinal = 0;
  for (auto const kind : {model::operation::insert, model::operation::update, model::operation::remove}) {
    for (int key = 0; key < 50; ++key, ordinal += 2) add_value(builder, a, ordinal, std::to_string(key), kind);
  }
  auto const taken = builder.take();
  CHECK(taken.steps.size() == 3);
  std::map<std::uint64_t, std::uint16_t> lanes;
  for (auto const& [lane, at] : places(taken)) {
    auto const key = at.ordinal / 2 % 50;
    CHECK(lanes.emplace(key, lane).first->second == lane);
  }
  CHECK(lanes.size() == 50);
}

TEST_CASE("a chunk's rows go by the lanes of their keys, with a position for each") {
  batch_builder builder(three_lanes, text_rows, {1000, 1 << 20});
  chunk_rows chunk;
  chunk.table = table(1);
  for (int key = 0; key < 50; ++key) {
    chunk.bytes.push_back(static_cast<char>(key));
    chunk.rows.push_back({1, model::operation::copy, false});
    chunk.hashes.push_back({static_cast<std::uint64_t>(key), 0});
  }
  builder.add_chunk(std::move(chunk), {lsn{100}, 1000});
  auto const taken = builder.take();
  CHECK(taken.rows == 50);
  REQUIRE(taken.steps.size() == 3);
  for (auto const& step : taken.steps) {
    auto const& rows = std::get<model::table_rows>(step);
    CHECK(rows.copied);
    CHECK(rows.bytes.size() == rows.rows.size());
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      auto const key = static_cast<std::uint64_t>(rows.bytes.data()[i]);
      CHECK(rows.lane == key % 3);
      CHECK(rows.origins[i].at == position{lsn{100}, 1000 + key});
      CHECK(rows.origins[i].commit_time == model::no_commit_time);
    }
  }
}

TEST_CASE("rows without a key take the lane of their position, which is the same when they come again") {
  auto keyless = std::make_shared<model::relation>(*table(1));
  keyless->key.clear();
  for (int time = 0; time < 2; ++time) {
    batch_builder builder(three_lanes, text_rows, {1000, 1 << 20});
    auto to = target_of(keyless);
    for (std::uint64_t row = static_cast<std::uint64_t>(time) * 5; row < 20; ++row) {
      add_value(builder, to, row * 2, "same", model::operation::insert);
    }
    for (auto const& [lane, at] : places(builder.take())) CHECK(lane == at.ordinal / 2 % 3);
  }
}
