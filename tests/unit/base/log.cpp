#include "base/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "base/error.hpp"

namespace logging = etl::log;

namespace {

// What `act` writes to standard error.
std::string logged(std::function<void()> const& act) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  int const saved = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  REQUIRE(saved >= 0);
  REQUIRE(::dup2(::fileno(file), STDERR_FILENO) == STDERR_FILENO);
  act();
  REQUIRE(::dup2(saved, STDERR_FILENO) == STDERR_FILENO);
  ::close(saved);
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  logging::set_up(logging::level::info, logging::format::text);
  return text;
}

}  // namespace

TEST_CASE("a JSON line is one object with every field") {
  auto const text = logged([] {
    logging::set_up(logging::level::info, logging::format::json);
    logging::info("slot created", {{"slot", std::string_view("a \"b\"\n")}, {"bytes", std::int64_t{-5}}, {"on", true}});
  });
  REQUIRE(text.find('\n') == text.size() - 1);
  auto const line = boost::json::parse(text);
  CHECK(line.at("level").as_string() == "info");
  CHECK(line.at("message").as_string() == "slot created");
  CHECK(line.at("slot").as_string() == "a \"b\"\n");
  CHECK(line.at("bytes").as_int64() == -5);
  CHECK(line.at("on").as_bool());
  CHECK(line.at("time").as_string().size() == std::string_view("2026-01-02T03:04:05.123Z").size());
}

TEST_CASE("a text line stays one line, whatever its fields hold") {
  auto const text = logged([] {
    logging::set_up(logging::level::info, logging::format::text);
    logging::info("slot created", {{"plain", std::string_view("shop")}, {"odd", std::string_view("a\nb")}});
  });
  CHECK(text.find('\n') == text.size() - 1);
  CHECK_THAT(text, Catch::Contains("slot created plain=shop odd=\"a\\nb\"\n"));
}

TEST_CASE("levels below the wanted one are silent") {
  struct {
    logging::level least;
    int lines;
  } const cases[] = {
      {logging::level::debug, 3}, {logging::level::info, 2}, {logging::level::warning, 1}, {logging::level::off, 0}};
  for (auto const& c : cases) {
    auto const text = logged([&] {
      logging::set_up(c.least, logging::format::text);
      logging::debug("one");
      logging::info("two");
      logging::warning("three");
    });
    CHECK(std::count(text.begin(), text.end(), '\n') == c.lines);
  }
}

TEST_CASE("what a server said is logged at debug level only") {
  etl::error failure;
  failure.code = "pg.query";
  failure.message = "the query failed";
  failure.server_text = "Key (id)=(secret) already exists";
  auto const write = [&](logging::level least) {
    return logged([&] {
      logging::set_up(least, logging::format::text);
      logging::write(logging::level::error, "pipeline stopped", failure);
    });
  };
  CHECK_THAT(write(logging::level::info), Catch::Contains("code=pg.query") && !Catch::Contains("secret"));
  CHECK_THAT(write(logging::level::debug), Catch::Contains("secret"));
}
