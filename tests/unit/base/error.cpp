#include "base/error.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>

using etl::error;
using etl::severity;

namespace {

error sample() {
  error e;
  e.kind = severity::config;
  e.code = "source.wal_level";
  e.message = "wal_level is replica";
  e.server_text = "secret row";
  return e;
}

}  // namespace

TEST_CASE("an error's paragraph holds what it knows, and never what the server said") {
  auto plain = sample();
  CHECK(plain.to_text() == "wal_level is replica");

  auto with_hint = sample();
  with_hint.hint = "Set it to logical.";
  CHECK(with_hint.to_text() == "wal_level is replica. Set it to logical.");

  auto with_stop = sample();
  with_stop.message += '.';
  with_stop.hint = "Set it to logical.";
  CHECK(with_stop.to_text() == "wal_level is replica. Set it to logical.");

  auto full = sample();
  full.sqlstate = "55000";
  full.where = etl::lsn{0x16B374D848};
  full.hint = "Set it to logical.";
  CHECK(full.to_text() == "wal_level is replica (SQLSTATE 55000) at LSN 16/B374D848. Set it to logical.");
  CHECK(full.to_text().find("secret") == std::string::npos);
}

TEST_CASE("a failed result hands its error on, whole") {
  etl::result<int> const failed = sample();
  REQUIRE(failed.has_error());
  etl::result<int> source = sample();
  etl::result<std::string> const handed_on = etl::fail(std::move(source));
  REQUIRE(handed_on.has_error());
  CHECK(handed_on.error().code == "source.wal_level");
  CHECK(handed_on.error().message == "wal_level is replica");
  CHECK(handed_on.error().server_text == "secret row");
}

TEST_CASE("taking the value of a failed result is a bug that names its place") {
  etl::result<int> const failed = sample();
  CHECK_THROWS_AS(failed.value(), std::logic_error);
  CHECK_THROWS_WITH(failed.value(), Catch::Contains("source.wal_level") && Catch::Contains("unchecked"));
}
