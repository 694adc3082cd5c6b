// Prints docs/types.md: what every type becomes at every destination, as the functions that encode have it.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "destination/duckdb_module.hpp"
#include "destination/postgres/transferable.hpp"
#include "destination/snowflake/column_type.hpp"
#include "encode/arrow_rows.hpp"
#include "encode/copy_rows.hpp"
#include "encode/ndjson.hpp"

namespace {

using namespace etl;

constexpr std::uint32_t own_oid = 90'000;  // of types that do not come with PostgreSQL

struct sample {
  std::string_view group;
  std::string_view name;  // format_type()
  std::uint32_t oid;
  std::string_view value;               // an ordinary one, as PostgreSQL writes it
  std::vector<std::string_view> edges;  // what not every destination can hold
  std::uint32_t element = 0;
  char kind = 'b';
  std::uint32_t base_oid = 0;
  std::string_view base_name = {};
};

std::vector<sample> samples() {
  std::vector<std::string_view> const no_numbers{"NaN", "Infinity", "-Infinity"};
  std::vector<std::string_view> const dates{"infinity", "0044-03-15 BC", "10000-01-01", "5874897-12-31"};
  std::vector<std::string_view> const instants{"infinity", "0044-03-15 00:00:00 BC", "10000-01-01 00:00:00",
                                               "294276-12-31 23:59:59.999999"};
  std::vector<std::string_view> const zoned{"infinity", "0044-03-15 00:00:00+00 BC", "10000-01-01 00:00:00+00",
                                            "294276-12-31 23:59:59.999999+00"};
  std::vector<std::string_view> const shapes{"{{1,2},{3,4}}", "[0:1]={1,2}"};
  return {
      {"Numbers", "boolean", 16, "t", {}},
      {"Numbers", "smallint", 21, "-7", {}},
      {"Numbers", "integer", 23, "7", {}},
      {"Numbers", "bigint", 20, "9223372036854775807", {}},
      {"Numbers", "oid", 26, "4294967295", {}},
      {"Numbers", "real", 700, "0.1", no_numbers},
      {"Numbers", "double precision", 701, "1e+22", no_numbers},
      {"Numbers", "numeric(10,2)", 1700, "-1.10", {"NaN"}},
      {"Numbers", "numeric(50,2)", 1700, "-1.10", {"NaN"}},
      {"Numbers", "numeric", 1700, "1.500", no_numbers},
      {"Numbers", "money", 790, "-$12.34", {}},
      {"Texts and bytes", "text", 25, "größe", {}},
      {"Texts and bytes", "character varying", 1043, "größe", {}},
      {"Texts and bytes", "character(6)", 1042, "ab    ", {}},
      {"Texts and bytes", "\"char\"", 18, "a", {}},
      {"Texts and bytes", "name", 19, "a", {}},
      {"Texts and bytes", "xml", 142, "<a>b</a>", {}},
      {"Texts and bytes", "bytea", 17, "\\x00ff", {}},
      {"Texts and bytes", "bit(3)", 1560, "101", {}},
      {"Texts and bytes", "bit varying", 1562, "1", {}},
      {"Texts and bytes", "uuid", 2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", {}},
      {"JSON", "json", 114, "{\"a\": 1.10}", {}},
      {"JSON", "jsonb", 3802, "{\"a\": 1.10}", {}},
      {"JSON", "jsonpath", 4072, "$.\"a\"", {}},
      {"Time", "date", 1082, "2026-01-31", dates},
      {"Time", "time without time zone", 1083, "04:05:06.789", {"24:00:00"}},
      {"Time", "time with time zone", 1266, "04:05:06+05:30", {}},
      {"Time", "timestamp without time zone", 1114, "2026-01-31 04:05:06", instants},
      {"Time", "timestamp with time zone", 1184, "2026-01-31 04:05:06+00", zoned},
      {"Time", "interval", 1186, "1 mon -2 days +03:00:00", {"-2562047788:00:54.775807", "infinity"}},
      {"Others that are built in", "inet", 869, "10.1.2.3/8", {}},
      {"Others that are built in", "cidr", 650, "10.0.0.0/8", {}},
      {"Others that are built in", "macaddr", 829, "08:00:2b:01:02:03", {}},
      {"Others that are built in", "macaddr8", 774, "08:00:2b:01:02:03:04:05", {}},
      {"Others that are built in", "point", 600, "(1.5,-2)", {}},
      {"Others that are built in", "line", 628, "{1,-1,0.1}", {}},
      {"Others that are built in", "lseg", 601, "[(1,2),(3,4)]", {}},
      {"Others that are built in", "box", 603, "(3,4),(1,2)", {}},
      {"Others that are built in", "path", 602, "[(1,2),(3,4)]", {}},
      {"Others that are built in", "polygon", 604, "((1,2),(3,4))", {}},
      {"Others that are built in", "circle", 718, "<(1,2),3>", {}},
      {"Others that are built in", "tsvector", 3614, "'cat':3 'fat':2", {}},
      {"Others that are built in", "int4range", 3904, "[1,10)", {}, 0, 'r'},
      {"Others that are built in", "int8range", 3926, "[1,10)", {}, 0, 'r'},
      {"Others that are built in", "numrange", 3906, "[1.10,2)", {}, 0, 'r'},
      {"Others that are built in", "daterange", 3912, "[2026-01-01,infinity)", {}, 0, 'r'},
      {"Others that are built in", "tsrange", 3908, "empty", {}, 0, 'r'},
      {"Others that are built in", "tstzrange", 3910, "(,)", {}, 0, 'r'},
      {"Others that are built in", "their multiranges", 4451, "{[1,3),[5,8)}", {}, 0, 'm'},
      {"Others that are built in", "pg_lsn", 3220, "16/B374D848", {}},
      {"Others that are built in", "xid8", 5069, "7", {}},
      {"Others that are built in", "pg_snapshot", 5038, "10:20:10,14", {}},
      {"Others that are built in", "tsquery", 3615, "'fat' & 'rat'", {}},
      {"Others that are built in", "int2vector", 22, "1 2", {}, 21},
      {"Others that are built in", "oidvector", 30, "1 2", {}, 26},
      {"Others that are built in", "xid", 28, "7", {}},
      {"Others that are built in", "cid", 29, "7", {}},
      {"Others that are built in", "tid", 27, "(0,1)", {}},
      {"Others that are built in", "txid_snapshot", 2970, "10:20:10,14", {}},
      {"Others that are built in", "refcursor", 1790, "a", {}},
      {"Others that are built in", "aclitem", 1033, "etl=r/etl", {}},
      {"Others that are built in", "regclass", 2205, "public.t", {}},
      {"Others that are built in", "the other reg types", 2206, "integer", {}},
      {"Arrays", "integer[]", 1007, "{1,NULL,3}", shapes, 23},
      {"Arrays", "text[]", 1009, "{a,NULL,\"NULL\"}", shapes, 25},
      {"Arrays", "numeric(10,2)[]", 1231, "{1.10}", {"{NaN}"}, 1700},
      {"Arrays", "numeric[]", 1231, "{1.10,NaN}", {}, 1700},
      {"Arrays", "jsonb[]", 3807, "{\"{\\\"a\\\": 1}\"}", shapes, 3802},
      {"Arrays", "arrays of the other types", 1041, "{10.0.0.1}", {}, 869},
      {"Your own types", "an enum", own_oid, "sad", {}, 0, 'e'},
      {"Your own types", "a domain over integer", own_oid, "7", {}, 0, 'd', 23, "integer"},
      {"Your own types", "a domain over numeric(10,2)", own_oid, "-1.10", {"NaN"}, 0, 'd', 1700, "numeric(10,2)"},
      {"Your own types", "a composite", own_oid, "(1,\"a b\")", {}, 0, 'c'},
      {"Your own types", "a range", own_oid, "[0.1,0.2)", {}, 0, 'r'},
      {"Your own types", "arrays of these", own_oid, "{sad,NULL}", {}, own_oid + 1},
      {"Your own types", "an extension's (hstore, citext, ltree, …)", own_oid, "\"a\"=>NULL", {}},
      {"Your own types", "geography (PostGIS)", own_oid, "0101000020E6100000", {}},
      {"Your own types", "geometry (PostGIS)", own_oid, "0101000020E6100000", {}},
  };
}

// numeric.c: make_numeric_typmod.
std::int32_t modifier_of(std::string_view type) {
  if (type.starts_with("numeric(10,2)")) return (10 << 16 | 2) + 4;
  if (type.starts_with("numeric(50,2)")) return (50 << 16 | 2) + 4;
  return -1;
}

model::relation_ptr table_of(sample const& type) {
  model::relation table;
  table.schema = "public";
  table.name = "t";
  model::column column;
  column.name = "c";
  column.type_oid = type.oid;
  column.type_modifier = modifier_of(type.name);
  column.type_kind = type.kind;
  column.type_name = type.name.substr(0, type.name.find(" (PostGIS)"));
  column.base_type_oid = type.base_oid != 0 ? type.base_oid : type.oid;
  column.base_type_name = type.base_name.empty() ? column.type_name : std::string(type.base_name);
  column.element_oid = type.element;
  table.columns.push_back(std::move(column));
  return std::make_shared<model::relation const>(std::move(table));
}

pgoutput::value text_value(std::string_view text) { return {pgoutput::value_kind::text, text}; }

// The value as JSON; empty where there is an error.
std::string json_of(sample const& type, std::string_view value, encode::ndjson_options options) {
  encode::ndjson_encoder encoder(table_of(type), options);
  buffer out;
  auto const row = text_value(value);
  if (!encoder.encode(out, model::operation::copy, {}, 0, {}, {&row, 1})) return {};
  auto const line = out.view();
  constexpr std::string_view before = "\"c\":";
  auto const at = line.find(before) + before.size();
  return std::string(line.substr(at, line.size() - at - std::string_view("}\n").size()));
}

bool fits_arrow(sample const& type, std::string_view value, encode::infinities infinite) {
  model::table_rows rows;
  rows.table = table_of(type);
  auto const row = text_value(value);
  static_cast<void>(encode::encode_copy_row(rows.bytes, *rows.table, model::operation::copy, {}, {&row, 1}));
  rows.rows.push_back({static_cast<std::uint32_t>(rows.bytes.size()), model::operation::copy});
  rows.origins.push_back({{}, model::no_commit_time});
  return encode::arrow_encoder(rows.table, {.infinite = infinite}).encode(rows).has_value();
}

// From the table of types in the module that makes the columns.
std::string duckdb_type(encode::arrow_type const& type) {
  using kind = encode::arrow_type::kind;
  if (type.what == kind::list) return duckdb_type(type.element_type()) + "[]";
  if (type.what == kind::decimal) return fmt::format("DECIMAL({},{})", type.precision, type.scale);
  auto const entry = fmt::format("\"{}\": \"", type.to_text());
  auto const module = destination::duckdb_module;
  auto const at = module.find(entry);
  if (at == std::string_view::npos) return "?";
  auto const name = module.substr(at + entry.size());
  return std::string(name.substr(0, name.find('"')));
}

std::string code(std::string_view text) { return fmt::format("`{}`", text); }

// Edges for which `fits` does not hold.
std::string without_form(sample const& type, std::function<bool(std::string_view)> const& fits) {
  std::string list;
  for (auto const edge : type.edges) {
    if (!fits(edge)) list += (list.empty() ? "" : ", ") + code(edge);
  }
  return list;
}

// What stands behind a type's name in one table.
using cells = std::vector<std::string>;

constexpr std::size_t none = static_cast<std::size_t>(-1);

// Types with the same cells share a row; the cell `example` is the first one's.
void print_table(std::string_view heads, std::function<cells(sample const&)> const& describe,
                 std::size_t example = none) {
  auto const columns = std::count(heads.begin(), heads.end(), '|') + 1;
  auto const each = [&](std::string_view cell) {
    std::string line;
    for (auto n = columns; n > 0; --n) line += cell;
    return line;
  };
  fmt::print("| PostgreSQL | {} |\n|---|{}\n", heads, each("---|"));
  std::string_view group;
  std::string names;
  cells shared;
  auto const flush = [&] {
    if (!names.empty()) fmt::print("| {} | {} |\n", names, fmt::join(shared, " | "));
    names.clear();
  };
  for (auto const& type : samples()) {
    auto own = describe(type);
    auto joined = own;
    if (example != none && !names.empty()) joined[example] = shared[example];
    bool const joins = type.group == group && joined == shared;
    if (!joins) flush();
    if (type.group != group) fmt::print("| **{}** |{}\n", type.group, each(" |"));
    group = type.group;
    bool const is_name = type.oid != own_oid && !type.name.starts_with("the") && !type.name.starts_with("arrays");
    names += (names.empty() ? "" : ", ") + (is_name ? code(type.name) : std::string(type.name));
    if (!joins) shared = std::move(own);
  }
  flush();
}

cells at_postgres(sample const& type) {
  return {destination::binary_transferable(*table_of(type)) ? "binary or text" : "text"};
}

cells in_json(sample const& type) {
  auto const json = json_of(type, type.value, {});
  std::string const form = json.front() == '"'                          ? "string"
                           : json.front() == '{'                        ? "the document itself"
                           : json.front() == 't' || json.front() == 'f' ? "`true`, `false`"
                                                                        : "number";
  encode::ndjson_options strict;
  strict.on_unrepresentable.otherwise = encode::unrepresentable::error;
  return {form, code(json), without_form(type, [&](auto edge) { return !json_of(type, edge, strict).empty(); })};
}

cells at_duckdb(sample const& type) {
  return {code(duckdb_type(encode::arrow_type_of(table_of(type)->columns[0]))),
          without_form(type, [&](auto edge) { return fits_arrow(type, edge, encode::infinities::extremes); })};
}

cells in_arrow(sample const& type) {
  return {code(encode::arrow_type_of(table_of(type)->columns[0]).to_text()),
          without_form(type, [&](auto edge) { return fits_arrow(type, edge, encode::infinities::refused); })};
}

cells at_snowflake(sample const& type) {
  encode::ndjson_options options;
  options.numeric_as_text = options.bare_hex = options.typed = true;
  return {code(destination::snowflake::type_for(table_of(type)->columns[0]).sql()),
          without_form(type, [&](auto edge) { return !json_of(type, edge, options).empty(); })};
}

constexpr std::string_view introduction =
    R"(<!-- Printed by build/docs/generate_types from the functions that encode. Do not edit: change the code, and run it. -->

# Types

What a value of each type becomes at each destination, and which values have no form there. What then happens is
`destination.on_unrepresentable`, by destination or for one column (`[destination.columns."schema.table.column"]`):

- `"error"`: the table stops with an error that names it, the column and the type, never the value; the others run on.
- `"null"`: the value becomes null. Not in columns of the key, where rows would become one: there it is `"error"`.
- `"text"`, the default: the value is written as a text where the column takes one, else as `"error"`.

Nothing else changes a value: scale and trailing zeros of a numeric, the shortest digits of a float and its `-0`, the
padding of `char(n)`, fractions of a second and the order of a document's keys arrive as the source has them. The
sessions that read and write values do not depend on settings of servers, databases or roles (`DateStyle`,
`IntervalStyle`, `TimeZone`, `lc_monetary`, `extra_float_digits`, `bytea_output`, `search_path`, `array_nulls`, `xmloption`).

A type of your own may change under rows that are there already, of which PostgreSQL's stream says nothing: an enum's label is
renamed, a composite gets an attribute. The source is asked every ten seconds; the table stops with `source.type_changed`,
and the next start copies it afresh. What changed while the program was not running is noticed for a PostgreSQL destination
only: for the others, set `copy.mode = "always"` once.
)";

constexpr std::string_view postgres_text = R"(
## postgres

Every value of every type arrives bit by bit. The second column says how: in binary form only where that form means the
same at every server (`source.binary`), which has to hold for every column of every table of the pipeline. An array of
built-in types travels as its elements do.

Types of your own that the destination lacks are made there, in their schemas, with what they are made of:

- an enum with its labels in order. Labels that the source adds later are added before a row needs them. A *renamed* label
  stops the table, with the `ALTER TYPE … RENAME VALUE` that mends it. Any other type that differs from the source's of its
  name stops it, too.
- a domain without its constraints: the source has checked them, and rows amid a transaction, or older than a changed
  constraint, may break them. Where the destination's column is of the type below the domain, it stays that.
- a composite, a range with operator class and collation (its canonical function is not needed: values come in canonical
  form). A range brings its multirange.
- a type of an extension is not: the error says which `CREATE EXTENSION` to run. A table's row type is made with its table.

`regclass` and the other types that name objects arrive by qualified name, `aclitem` and `regrole` by role: the object has to
exist at the destination, or the table stops. `pg_node_tree` and the types of extended statistics take no input anywhere.

)";

constexpr std::string_view json_text = R"(
## file, and python with format = "ndjson"

One canonical form for each type. A number is written with the very digits that PostgreSQL has; read it with a parser that
keeps them. Everything that is no number, truth value or document is a string of PostgreSQL's own text in UTC, ISO dates and
`bytea` in hex: arrays (`"{1,NULL,3}"`, with lower bounds where they are not 1) and composites, too, since a JSON array has
neither bounds nor a way to tell a null row from a row of nulls. `'…'::type` in PostgreSQL reads each string back.

One thing is lost: the document `null` of a `json` or `jsonb` column and SQL's NULL are both `null`.

)";

constexpr std::string_view duckdb_text = R"(
## duckdb

Infinite dates and timestamps are DuckDB's. `VARCHAR` holds PostgreSQL's own text, as above.

)";

constexpr std::string_view snowflake_text = R"(
## snowflake

`VARCHAR` holds PostgreSQL's own text, as above. NaN and the infinities of floats reach `FLOAT` as texts, which it reads; with
`"null"` they become NULL. A `VARIANT` is Snowflake's own form of a document: numbers of more than 38 digits become `FLOAT` in
it, keys are in another order, and the document `null` is NULL.

)";

constexpr std::string_view arrow_text = R"(
## python with format = "arrow"

`large_string` holds PostgreSQL's own text, as above.

)";

}  // namespace

int main() {
  fmt::print("{}{}", introduction, postgres_text);
  print_table("travels as", at_postgres);
  fmt::print("{}", json_text);
  print_table("JSON | for example | no form for", in_json, 1);
  fmt::print("{}", duckdb_text);
  print_table("DuckDB | no form for", at_duckdb);
  fmt::print("{}", snowflake_text);
  print_table("Snowflake | no form for", at_snowflake);
  fmt::print("{}", arrow_text);
  print_table("Arrow | no form for", in_arrow);
}
