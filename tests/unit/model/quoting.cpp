#include <catch2/catch.hpp>

#include "model/relation.hpp"

namespace model = etl::model;

TEST_CASE("identifiers are quoted so that SQL reads them back unchanged") {
  struct {
    char const* name;
    char const* quoted;
  } const cases[] = {
      {"users", R"("users")"},
      {"Users", R"("Users")"},
      {"select", R"("select")"},
      {"with space", R"("with space")"},
      {R"(a"b)", R"("a""b")"},
      {R"("")", R"("""""")"},
      {R"(back\slash)", R"("back\slash")"},
      {"größe", R"("größe")"},
  };
  for (auto const& c : cases) CHECK(model::quote_identifier(c.name) == c.quoted);
}

TEST_CASE("literals are quoted so that SQL reads them back whatever standard_conforming_strings says") {
  struct {
    char const* text;
    char const* quoted;
  } const cases[] = {
      {"", "''"}, {"shop", "'shop'"}, {"it's", "'it''s'"}, {R"(a\b)", R"( E'a\\b')"}, {R"(\')", R"( E'\\''')"},
  };
  for (auto const& c : cases) CHECK(model::quote_literal(c.text) == c.quoted);
}

TEST_CASE("a relation's name is its schema's and its own, each quoted") {
  model::relation r;
  r.schema = "Sales";
  r.name = "a.b";
  CHECK(r.quoted_name() == R"("Sales"."a.b")");
}
