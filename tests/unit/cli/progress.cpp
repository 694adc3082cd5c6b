#include "cli/progress.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>

using namespace etl;
using namespace etl::cli;
using namespace std::chrono_literals;
using pipeline::table_copy;

namespace {

class pipe_end {
 public:
  pipe_end() {
    if (::pipe(ends_) != 0) throw std::runtime_error("pipe failed");
  }
  pipe_end(pipe_end const&) = delete;
  pipe_end& operator=(pipe_end const&) = delete;
  ~pipe_end() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  [[nodiscard]] int in() const { return ends_[1]; }
  // What was written since the last call; a byte of our own marks the end, so that it never waits.
  std::string read() {
    if (::write(ends_[1], "\x04", 1) != 1) throw std::runtime_error("write failed");
    std::string text;
    for (char c = 0; ::read(ends_[0], &c, 1) == 1 && c != '\x04';) text += c;
    return text;
  }

 private:
  int ends_[2];
};

pipeline::copy_snapshot one_table(std::uint64_t rows) {
  return {"shop", {{"public.orders", table_copy::running, rows, 0, 0}}};
}

}  // namespace

TEST_CASE("the display stays below the log's lines and leaves nothing behind") {
  pipe_end terminal;
  std::chrono::steady_clock::time_point now{};
  std::string const first =
      "\x1b[?7l0 of 1 tables                             1 rows\n"
      "  public.orders                           1 rows\n\x1b[?7h";
  std::string const back = "\r\x1b[2A\x1b[J";
  {
    terminal_progress display(terminal.in(), [] { return terminal_progress::size{60, 24}; }, [&] { return now; });
    display.take("before\n");
    CHECK(terminal.read() == "before\n");
    display.show(one_table(1));
    CHECK(terminal.read() == first);
    display.show(one_table(1));
    CHECK(terminal.read().empty());  // too soon
    display.take("a line\n");
    CHECK(terminal.read() == back + "a line\n" + first);
    now += 100ms;
    display.show(one_table(1));
    CHECK(terminal.read() == back + first);
    display.done("shop");
    CHECK(terminal.read() == back);
    display.take("after\n");
    CHECK(terminal.read() == "after\n");
    now += 100ms;
    display.show(one_table(1));
    CHECK(terminal.read() == first);
  }
  CHECK(terminal.read() == back);
}

TEST_CASE("a low terminal gets fewer lines") {
  pipe_end terminal;
  std::chrono::steady_clock::time_point const now{};
  terminal_progress display(terminal.in(), [] { return terminal_progress::size{60, 4}; }, [&] { return now; });
  pipeline::copy_snapshot many{"shop", {}};
  for (int i = 0; i < 20; ++i) many.tables.push_back({"t" + std::to_string(i), table_copy::waiting, 0, 0, 0});
  display.show(many);
  CHECK_THAT(terminal.read(), Catch::EndsWith("waiting\n  and 19 more\n\x1b[?7h"));
}

TEST_CASE("without a terminal a running table is logged every ten seconds") {
  struct : log::line_taker {
    void take(std::string_view line) override { text += line; }
    std::string text;
  } taken;
  log::set_up(log::level::info, log::format::json);
  log::give_lines_to(&taken);
  std::chrono::steady_clock::time_point now{};
  logged_progress display([&] { return now; });
  auto const show = [&](unsigned second, std::uint64_t bytes) {
    taken.text.clear();
    now = std::chrono::steady_clock::time_point(std::chrono::seconds(second));
    display.show(
        {"shop",
         {{"public.items", table_copy::waiting, 0, 0, 5}, {"public.orders", table_copy::running, 3, bytes, 40'000}}});
    return taken.text;
  };
  CHECK(show(0, 0).empty());
  CHECK(show(9, 9'000).empty());
  CHECK_THAT(show(10, 10'000),
             Catch::Contains(R"("message":"copying","pipeline":"shop","table":"public.orders","rows":3,"bytes":10000,)"
                             R"("bytes_total":40000,"bytes_per_second":1000,"seconds_left":30})"));
  CHECK(show(11, 11'000).empty());
  CHECK(show(20, 20'000).find("public.items") == std::string::npos);
  CHECK_FALSE(taken.text.empty());
  display.done("shop");
  CHECK(show(60, 0).empty());  // a new copy begins
  log::give_lines_to(nullptr);
}
