#include "destination/file/names.hpp"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

using etl::lsn;
using etl::position;
using etl::config::compression_method;
using namespace etl::destination::file;

TEST_CASE("a table's directory") {
  struct {
    char const* schema;
    char const* table;
    char const* expected;
  } const cases[] = {
      {"public", "orders", "public.orders"},
      {"public", "Order lines", "public.Order lines"},
      {"a.b", "c", "a%2Eb.c"},
      {"a", "b.c", "a.b%2Ec"},
      {"..", "..", "%2E%2E.%2E%2E"},
      {"../etc", "a/b", "%2E%2E%2Fetc.a%2Fb"},
      {"50%", "back\\slash", "50%25.back%5Cslash"},
      {"p", "line\nfeed\x01\x7f", "p.line%0Afeed%01%7F"},
      {"p", "\xd0\xb7\xd0\xb0\xd0\xba\xd0\xb0\xd0\xb7", "p.\xd0\xb7\xd0\xb0\xd0\xba\xd0\xb0\xd0\xb7"},
  };
  for (auto const& c : cases) {
    CAPTURE(c.expected);
    CHECK(directory_name(c.schema, c.table) == c.expected);
  }
}

TEST_CASE("a segment's name says between which positions it is, in text order") {
  position const first{lsn{0x16B374D848}, 1};
  position const last{lsn{0x16B374D900}, 0xFFFF};
  struct {
    compression_method compression;
    char const* expected;
  } const cases[] = {
      {compression_method::none, "00000016B374D8480000000000000001-00000016B374D900000000000000FFFF.ndjson"},
      {compression_method::gzip, "00000016B374D8480000000000000001-00000016B374D900000000000000FFFF.ndjson.gz"},
      {compression_method::zstd, "00000016B374D8480000000000000001-00000016B374D900000000000000FFFF.ndjson.zst"},
  };
  for (auto const& c : cases) {
    CHECK(segment_name(first, last, c.compression) == c.expected);
    CHECK(segment_start(c.expected) == first);
  }
}

TEST_CASE("other files are not taken for segments") {
  for (std::string const name : {"", "schema-1.json", "00000016B374D8480000000000000001.ndjson", "notes.ndjson",
                                 "00000016B374D8480000000000000001-00000016B374D900000000000000FFFF",
                                 "00000016B374D8480000000000000001-00000016B374D900000000000000FFFF.ndjson.bak",
                                 "00000016B374D8480000000000000001-0000001XB374D900000000000000FFFF.ndjson",
                                 "00000016B374D8480000000000000001_00000016B374D900000000000000FFFF.ndjson"}) {
    CAPTURE(name);
    CHECK(segment_start(name) == std::nullopt);
  }
}
