#include "config/keys.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <sstream>

#include "config/load.hpp"

using namespace etl::config;

namespace {

std::optional<std::string> no_variable(std::string const& name) {
  if (name == "HOME") return "/h";
  return std::nullopt;
}

// The smallest file for a destination that has the key.
std::string minimal(owners of) {
  std::string const text = "name = 'a'\nsource.url = 'dbname=a'\n";
  if (of.has(destination_type::null)) return text + "destination.type = 'null'\n";
  if (of.has(destination_type::file)) return text + "destination.type = 'file'\ndestination.path = '/out'\n";
  if (of.has(destination_type::postgres)) return text + "destination.type = 'postgres'\ndestination.url = 'dbname=b'\n";
  if (of.has(destination_type::duckdb)) return text + "destination.type = 'duckdb'\ndestination.path = '/a.duckdb'\n";
  if (of.has(destination_type::python)) return text + "destination.type = 'python'\ndestination.module = 'a'\n";
  return text +
         "destination.type = 'snowflake'\ndestination.account = 'org-a'\ndestination.user = 'u'\n"
         "destination.private_key = '-----BEGIN PRIVATE KEY-----'\ndestination.database = 'd'\n";
}

// What the manual page says of a key behind its name: "integer from 1 to 64; default 2".
std::string in_words(key const& which) {
  auto const type = describe_type(which);
  if (which.required) return type + "; required";
  if (which.fallback.empty()) return type + "; optional";
  return type + "; default " + std::string(which.fallback);
}

// Keys with those words, from the page's ".It Ic copy.workers Pq integer from 1 to 64; default 2".
std::map<std::string, std::string> manual_page() {
  std::ifstream page(MANUAL_PAGE);
  REQUIRE(page.is_open());
  std::map<std::string, std::string> found;
  std::string const begins = ".It Ic ", between = " Pq ";
  for (std::string line; std::getline(page, line);) {
    auto const middle = line.find(between);
    if (!line.starts_with(begins) || middle == std::string::npos) continue;
    auto words = line.substr(middle + between.size());
    for (auto at = words.find("\\(dq"); at != std::string::npos; at = words.find("\\(dq", at))
      words.replace(at, 4, "\"");
    auto const path = line.substr(begins.size(), middle - begins.size());
    INFO(path);
    CHECK(found.emplace(path, words).second);
  }
  return found;
}

}  // namespace

TEST_CASE("the manual page and the parser know the same keys, types and defaults") {
  std::map<std::string, std::string> known;
  for (auto const& which : keys()) known.emplace(which.path, in_words(which));
  CHECK(known == manual_page());
}

TEST_CASE("the table of keys is sound") {
  for (auto const& which : keys()) {
    CAPTURE(which.path);
    CHECK(find_key(which.path) == &which);
    CHECK(which.set != nullptr);
    CHECK_FALSE(which.summary.empty());
    CHECK_FALSE(which.summary.ends_with('.'));
    bool const bounded =
        which.type == key_type::integer || which.type == key_type::size || which.type == key_type::duration;
    CHECK(bounded == (which.most > which.least));
    bool const chosen = which.type == key_type::choice || which.type == key_type::columns;
    CHECK(chosen == !which.choices.empty());
    CHECK(!(which.required && !which.fallback.empty()));
  }
  CHECK(find_key("copy") == nullptr);
}

TEST_CASE("a default written out is the default left out") {
  for (auto const& which : keys()) {
    if (which.fallback.empty() || !which.fallback_is_toml) continue;
    CAPTURE(which.path);
    auto const base = minimal(which.of);
    auto const without = parse(base, "/p.toml", no_variable);
    auto const with =
        parse(base + std::string(which.path) + " = " + std::string(which.fallback), "/p.toml", no_variable);
    REQUIRE(without.pipeline);
    REQUIRE(with.pipeline);
    CHECK(*with.pipeline == *without.pipeline);
  }
}

TEST_CASE("choices are numbered as their enums are") {
  struct row {
    std::string_view path, text;
    bool (*is)(pipeline_config const&);
  };
  using config = pipeline_config const&;
  auto const& [path, text, is] = GENERATE(values<row>({
      {"source.binary", "auto", [](config c) { return c.source.binary == binary_mode::automatic; }},
      {"source.binary", "on", [](config c) { return c.source.binary == binary_mode::on; }},
      {"source.binary", "off", [](config c) { return c.source.binary == binary_mode::off; }},
      {"destination.compression", "none",
       [](config c) { return c.destination.file.compression == compression_method::none; }},
      {"destination.compression", "gzip",
       [](config c) { return c.destination.file.compression == compression_method::gzip; }},
      {"destination.compression", "zstd",
       [](config c) { return c.destination.file.compression == compression_method::zstd; }},
      {"destination.encoding", "ndjson", [](config c) { return c.destination.null.encoding == null_encoding::ndjson; }},
      {"destination.encoding", "none", [](config c) { return c.destination.null.encoding == null_encoding::none; }},
      {"destination.on_unrepresentable", "error",
       [](config c) { return c.destination.on_unrepresentable == unrepresentable::error; }},
      {"destination.on_unrepresentable", "null",
       [](config c) { return c.destination.on_unrepresentable == unrepresentable::null; }},
      {"destination.on_unrepresentable", "text",
       [](config c) { return c.destination.on_unrepresentable == unrepresentable::text; }},
      {"destination.apply", "merge", [](config c) { return c.destination.snowflake.apply == apply_mode::merge; }},
      {"destination.apply", "task", [](config c) { return c.destination.snowflake.apply == apply_mode::task; }},
      {"destination.apply", "view", [](config c) { return c.destination.snowflake.apply == apply_mode::view; }},
      {"destination.apply", "append", [](config c) { return c.destination.snowflake.apply == apply_mode::append; }},
      {"destination.transport", "sdk",
       [](config c) { return c.destination.snowflake.transport == snowflake_transport::sdk; }},
      {"destination.transport", "rest",
       [](config c) { return c.destination.snowflake.transport == snowflake_transport::rest; }},
      {"destination.case", "preserve",
       [](config c) { return c.destination.snowflake.name_case == name_case::preserve; }},
      {"destination.case", "upper", [](config c) { return c.destination.snowflake.name_case == name_case::upper; }},
      {"destination.on_reject", "stop", [](config c) { return c.destination.snowflake.on_reject == on_reject::stop; }},
      {"destination.on_reject", "quarantine",
       [](config c) { return c.destination.snowflake.on_reject == on_reject::quarantine; }},
      {"destination.mode", "current", [](config c) { return c.destination.duckdb.mode == row_keeping::current; }},
      {"destination.mode", "history", [](config c) { return c.destination.duckdb.mode == row_keeping::history; }},
      {"destination.format", "arrow", [](config c) { return c.destination.python.format == batch_format::arrow; }},
      {"destination.format", "ndjson", [](config c) { return c.destination.python.format == batch_format::ndjson; }},
      {"copy.mode", "when_new", [](config c) { return c.copy.mode == copy_mode::when_new; }},
      {"copy.mode", "always", [](config c) { return c.copy.mode == copy_mode::always; }},
      {"copy.mode", "never", [](config c) { return c.copy.mode == copy_mode::never; }},
      {"copy.existing_rows", "error", [](config c) { return c.copy.existing_rows == existing_rows::error; }},
      {"copy.existing_rows", "replace", [](config c) { return c.copy.existing_rows == existing_rows::replace; }},
      {"copy.existing_rows", "keep", [](config c) { return c.copy.existing_rows == existing_rows::keep; }},
  }));
  CAPTURE(path, text);
  auto const parsed =
      parse(minimal(find_key(path)->of) + std::string(path) + " = '" + std::string(text) + "'", "/p.toml", no_variable);
  REQUIRE(parsed.pipeline);
  CHECK(is(*parsed.pipeline));
}
