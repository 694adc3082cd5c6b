#include "destination/file/file_destination.hpp"

#include <string>

#include "destination/factory.hpp"
#include "rows.hpp"
#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace etl::test;
using etl::destination::encoding;

TEST_CASE("the file destination that a configuration asks for writes, recovers, and closes") {
  temporary_directory here;
  etl::config::pipeline_config pipeline;
  pipeline.name = "shop";
  pipeline.destination.type = etl::config::destination_type::file;
  pipeline.destination.file.path = here / "files";
  pipeline.destination.file.compression = etl::config::compression_method::gzip;
  auto const body = [&]() -> asio::awaitable<void> {
    auto const table = make_table(1, "public", "t");
    for (std::uint64_t life = 0; life < 3; ++life) {
      auto made = etl::destination::make(pipeline, {});
      REQUIRE(made);
      auto& target = **made;
      CHECK(target.wants() == encoding::ndjson);
      CHECK(target.what_it_can().exactly_once);
      auto const opened = co_await target.open();
      REQUIRE(opened);
      CHECK(opened->durable == (life == 0 ? etl::position{} : at(10 * life)));
      auto const ensured = co_await target.ensure_table(table);
      REQUIRE(ensured);
      CHECK(ensured->has_rows == (life > 0));
      auto batch = make_batch({{"life", std::to_string(life)}});
      add(batch, make_rows(table, 10 * life + 1, 10 * life + 10));
      auto const written = co_await target.write(batch);
      CHECK(written);
      auto const durable = co_await target.flush();
      CHECK(durable.value() == at(10 * life + 10));
      CHECK(target.totals().rows == 10);
      co_await target.close();
    }
  };
  run_coro(body());
  CHECK(read_store(here / "files").size() == 30);
}

TEST_CASE("each type of destination is made") {
  etl::config::pipeline_config pipeline;
  struct {
    etl::config::destination_type type;
    char const* path;
    bool exactly_once;
    bool orders_tables;
  } const cases[] = {
      {etl::config::destination_type::null, "", false, false},
      {etl::config::destination_type::file, "/tmp/files", true, false},
      {etl::config::destination_type::file, "-", false, true},
      {etl::config::destination_type::postgres, "", true, false},
  };
  for (auto const& c : cases) {
    pipeline.destination.type = c.type;
    pipeline.destination.file.path = c.path;
    auto const made = etl::destination::make(pipeline, {});
    REQUIRE(made);
    CHECK((*made)->what_it_can().exactly_once == c.exactly_once);
    if (c.type != etl::config::destination_type::postgres)
      CHECK((*made)->what_it_can().orders_tables == c.orders_tables);
  }
}
