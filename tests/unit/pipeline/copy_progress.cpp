#include "pipeline/copy_progress.hpp"

#include <catch2/catch.hpp>

using namespace etl::pipeline;
using ranges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

TEST_CASE("block ranges merge what touches or overlaps, in any order") {
  struct row {
    ranges added;
    ranges wanted;
  };
  auto const table = GENERATE(values<row>({
      {{}, {}},
      {{{5, 5}}, {}},
      {{{0, 4}, {4, 8}}, {{0, 8}}},
      {{{8, 12}, {0, 4}}, {{0, 4}, {8, 12}}},
      {{{8, 12}, {0, 4}, {4, 8}}, {{0, 12}}},
      {{{0, 10}, {2, 3}}, {{0, 10}}},
      {{{2, 3}, {5, 6}, {0, 10}}, {{0, 10}}},
      {{{4, 6}, {8, 9}, {5, 8}}, {{4, 9}}},
  }));
  block_ranges done;
  for (auto const& [first, end] : table.added) done.add(first, end);
  CHECK(done.list() == table.wanted);
}

TEST_CASE("what is missing is what no range covers, up to the size") {
  block_ranges done;
  done.add(2, 4);
  done.add(6, 8);
  CHECK(done.missing(10) == ranges{{0, 2}, {4, 6}, {8, 10}});
  CHECK(done.missing(7) == ranges{{0, 2}, {4, 6}});
  CHECK(done.missing(3) == ranges{{0, 2}});
  CHECK(done.missing(0).empty());
  CHECK(done.covers(2, 4));
  CHECK_FALSE(done.covers(3, 5));
  CHECK(done.count() == 4);
}

TEST_CASE("a running copy survives its document") {
  copy_progress progress{
      .schema = "a \"b\"", .name = "t", .state = copy_state::running, .whole = false, .rows = 12, .parts = {}};
  part_progress part{.oid = 16385, .filenode = 16390, .blocks = 4'000'000'000u, .done = {}};
  part.done.add(0, 7);
  part.done.add(9, 11);
  progress.parts.push_back(part);
  auto const read = copy_progress::parse(progress.to_document());
  REQUIRE(read);
  CHECK(read->schema == progress.schema);
  CHECK(read->state == copy_state::running);
  CHECK(read->rows == 12);
  REQUIRE(read->parts.size() == 1);
  CHECK(read->parts[0].blocks == 4'000'000'000u);
  CHECK(read->parts[0].done.list() == ranges{{0, 7}, {9, 11}});
}

TEST_CASE("a finished copy needs no ranges") {
  copy_progress progress{
      .schema = "s", .name = "t", .state = copy_state::done, .whole = true, .rows = 3, .parts = {{1, 2, 3, {}}}};
  auto const read = copy_progress::parse(progress.to_document());
  REQUIRE(read);
  CHECK(read->state == copy_state::done);
  CHECK(read->whole);
  CHECK(read->parts.empty());
}

TEST_CASE("what is no such document is refused") {
  auto const text = GENERATE(as<std::string>{}, "", "{", "[]", "{}", R"({"schema":"s","name":"t","copy":"half"})",
                             R"({"schema":1,"name":"t","copy":"done"})",
                             R"({"schema":"s","name":"t","copy":"running","parts":[{"oid":1}]})");
  CHECK_FALSE(copy_progress::parse(text));
}
