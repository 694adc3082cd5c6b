#include "cli/progress_view.hpp"

#include <catch2/catch.hpp>

#include "cli/human.hpp"

using namespace etl::cli;
using namespace std::chrono_literals;
using etl::pipeline::copy_snapshot;
using etl::pipeline::table_copy;

namespace {

constexpr std::uint64_t mib = 1 << 20;
rate_meter::time const start{};
using lines = std::vector<std::string>;

// Orders at 10 MiB/s, customers unknown in size, and two that wait.
progress_view example() {
  progress_view view;
  for (unsigned second = 0; second <= 2; ++second) {
    view.show({"shop",
               {{"public.items", table_copy::waiting, 0, 0, 50 * mib},
                {"public.done", table_copy::done, 7, mib, mib},
                {"public.orders", table_copy::running, 100'000 * second, 10 * mib * second, 100 * mib},
                {"public.customers", table_copy::running, 1'000 * second, mib * second, 0},
                {"public.late", table_copy::waiting, 0, 0, 0}}},
              start + std::chrono::seconds(second));
  }
  return view;
}

}  // namespace

TEST_CASE("a rate begins with the second look and follows slowly") {
  rate_meter meter;
  meter.measure(1'000'000, start);
  CHECK_FALSE(meter.rate());
  meter.measure(1'000'100, start + 100ms);
  CHECK_FALSE(meter.rate());
  meter.measure(1'001'000, start + 1s);
  CHECK(*meter.rate() == Approx(1000));
  meter.measure(1'001'000, start + 2s);
  CHECK(*meter.rate() == Approx(1000 * std::exp(-0.25)));
  meter.measure(5, start + 3s);  // started over
  meter.measure(2'005, start + 4s);
  CHECK(*meter.rate() > 700);
  CHECK(*meter.rate() < 2000);
}

TEST_CASE("the whole, then running tables, then waiting ones") {
  auto const view = example();
  CHECK(view.render(100, 8) ==
        lines{"1 of 5 tables       [====>                      ]  15%   202k rows  23.0 MiB  11.0 MiB/s   0:12 left",
              "  public.orders     [=====>                     ]  20%   200k rows  20.0 MiB  10.0 MiB/s   0:08 left",
              "  public.customers                                       2000 rows  2.00 MiB  1.00 MiB/s",
              "  public.items      waiting", "  public.late       waiting"});
  CHECK(view.render(80, 8) == lines{"1 of 5 tables       [==>              ]  15%   202k rows  11.0 MiB/s   0:12 left",
                                    "  public.orders     [===>             ]  20%   200k rows  10.0 MiB/s   0:08 left",
                                    "  public.customers                             2000 rows  1.00 MiB/s",
                                    "  public.items      waiting", "  public.late       waiting"});
  CHECK(view.render(80, 1) == lines{"1 of 5 tables    [=>        ]  15%   202k rows  23.0 MiB  11.0 MiB/s   0:12 left",
                                    "  public.orders  [==>       ]  20%   200k rows  20.0 MiB  10.0 MiB/s   0:08 left",
                                    "  and 3 more"});
  CHECK(view.render(30, 1) ==
        lines{"1 of 5 tables  15%   0:12 left", "  public.ord…  20%   0:08 left", "  and 3 more"});
}

TEST_CASE("no line is wider than the terminal, whatever its width") {
  auto const view = example();
  for (std::size_t width = 0; width < 160; ++width) {
    for (auto const& line : view.render(width, 8)) {
      CAPTURE(width, line);
      CHECK(columns(line) <= width);
      CHECK_FALSE(line.ends_with(' '));
    }
  }
}

TEST_CASE("tables beyond the most are counted") {
  auto const view = example();
  auto const text = view.render(80, 2);
  REQUIRE(text.size() == 4);
  CHECK(text[3] == "  and 2 more");
  CHECK(view.render(80, 0).size() == 2);
  CHECK(view.render(80, 4).size() == 5);
}

TEST_CASE("a pipeline that is done disappears") {
  auto view = example();
  view.done("another");
  CHECK_FALSE(view.empty());
  view.done("shop");
  CHECK(view.empty());
  CHECK(view.render(80, 8).empty());
}

TEST_CASE("several pipelines share the display, by name") {
  progress_view view;
  view.show({"a", {{"public.t", table_copy::running, 1, 1, 4}}}, start);
  CHECK(view.tables().at(0).name == "public.t");
  view.show({"b", {{"public.t", table_copy::running, 1, 1, 4}}}, start);
  auto const tables = view.tables();
  REQUIRE(tables.size() == 2);
  CHECK(tables[0].name == "a: public.t");
  CHECK(tables[1].name == "b: public.t");
}

TEST_CASE("tables keep their rates when others come and go") {
  progress_view view;
  view.show({"a", {{"x", table_copy::running, 0, 0, 100'000}, {"y", table_copy::running, 0, 0, 100'000}}}, start);
  view.show({"a", {{"y", table_copy::running, 0, 5'000, 100'000}, {"z", table_copy::running, 0, 50'000, 100'000}}},
            start + 1s);
  auto const tables = view.tables();
  REQUIRE(tables.size() == 2);
  CHECK(tables[0].name == "y");
  CHECK(*tables[0].bytes_per_second == Approx(5'000));
  CHECK(tables[0].left == 19s);
  CHECK_FALSE(tables[1].bytes_per_second);
  CHECK_FALSE(tables[1].left);
}

TEST_CASE("more than the estimate, and a copy that stands still") {
  progress_view view;
  view.show({"a", {{"t", table_copy::running, 0, 0, mib}}}, start);
  view.show({"a", {{"t", table_copy::running, 9, 2 * mib, mib}}}, start + 1s);
  CHECK_FALSE(view.tables().at(0).left);
  CHECK_THAT(view.render(80, 8).at(1), Catch::Contains(" 99%"));
  for (int second = 2; second < 200; ++second) {
    view.show({"a", {{"t", table_copy::running, 9, 2 * mib, 3 * mib}}}, start + std::chrono::seconds(second));
  }
  CHECK_FALSE(view.tables().at(0).left);
}

TEST_CASE("names are made safe to print") {
  progress_view view;
  view.show({"a", {{"public.\x1b[2J", table_copy::running, 0, 0, 0}}}, start);
  CHECK_THAT(view.render(80, 8).at(1), Catch::Contains("public.?[2J"));
}
