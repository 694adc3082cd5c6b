#include "destination/snowflake/column_type.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace etl::destination::snowflake {
namespace {

using family = column_type::family;

constexpr std::int64_t most_characters = 16'777'216;
constexpr std::int64_t most_bytes = 8'388'608;

// pg_type.dat; these OIDs are part of PostgreSQL's protocol and never change.
enum type_oid : std::uint32_t {
  bool_oid = 16,
  bytea_oid = 17,
  char_oid = 18,
  name_oid = 19,
  int8_oid = 20,
  int2_oid = 21,
  int4_oid = 23,
  oid_oid = 26,
  json_oid = 114,
  float4_oid = 700,
  float8_oid = 701,
  money_oid = 790,
  date_oid = 1082,
  time_oid = 1083,
  timestamp_oid = 1114,
  timestamptz_oid = 1184,
  interval_oid = 1186,
  timetz_oid = 1266,
  numeric_oid = 1700,
  uuid_oid = 2950,
  jsonb_oid = 3802,
};

constexpr column_type whole_number{family::number, column_type::most_digits, 0};

// A domain's modifier is not in the column's; its base type's name has none, so it counts as unlimited.
column_type numeric(std::int32_t modifier) {
  if (modifier < 4) return {family::text};
  // PostgreSQL's numeric.c: precision in the upper half, scale in the lower 11 bits, signed since version 15.
  int const packed = modifier - 4;
  int precision = packed >> 16 & 0xFFFF;
  int const scale = ((packed & 0x7FF) ^ 0x400) - 0x400;
  if (scale < 0) precision -= scale;
  precision = std::max(precision, scale);
  if (precision > column_type::most_digits || scale > column_type::most_digits - 1) return {family::text};
  return {family::number, precision, std::max(scale, 0)};
}

// PostGIS's types have no fixed OID; the name may be qualified and may carry a modifier.
bool is_called(std::string_view type, std::string_view name) {
  type = type.substr(0, type.find('('));
  auto const dot = type.rfind('.');
  return (dot == std::string_view::npos ? type : type.substr(dot + 1)) == name;
}

std::uint32_t oid_of(model::column const& column) {
  return column.base_type_oid != 0 ? column.base_type_oid : column.type_oid;
}

}  // namespace

std::string column_type::sql() const {
  switch (kind) {
    case family::number:
      return fmt::format("NUMBER({}, {})", precision, scale);
    case family::real:
      return "FLOAT";
    case family::text:
      return "VARCHAR";
    case family::boolean:
      return "BOOLEAN";
    case family::date:
      return "DATE";
    case family::time:
      return "TIME";
    case family::timestamp_ntz:
      return "TIMESTAMP_NTZ";
    case family::timestamp_tz:
      return "TIMESTAMP_TZ";
    case family::binary:
      return "BINARY";
    case family::variant:
      return "VARIANT";
    case family::geography:
      return "GEOGRAPHY";
    case family::geometry:
      return "GEOMETRY";
  }
  return {};
}

column_type type_for(model::column const& column) {
  switch (oid_of(column)) {
    case bool_oid:
      return {family::boolean};
    case int2_oid:
    case int4_oid:
    case int8_oid:
    case oid_oid:
      return whole_number;
    case float4_oid:
    case float8_oid:
      return {family::real};
    case numeric_oid:
      return numeric(column.type_modifier);
    case date_oid:
      return {family::date};
    case time_oid:
      return {family::time};
    case timestamp_oid:
      return {family::timestamp_ntz};
    case timestamptz_oid:
      return {family::timestamp_tz};
    case bytea_oid:
      return {family::binary};
    case json_oid:
    case jsonb_oid:
      return {family::variant};
    default:
      break;
  }
  auto const& name = column.base_type_name.empty() ? column.type_name : column.base_type_name;
  if (is_called(name, "geography")) return {family::geography};
  if (is_called(name, "geometry")) return {family::geometry};
  return {family::text};
}

std::optional<column_type> parse_type(std::string_view described) {
  auto const open = described.find('(');
  auto const name = described.substr(0, open);
  std::array<std::int64_t, 2> sizes{0, 0};
  if (open != std::string_view::npos) {
    auto const* at = described.data() + open + 1;
    auto const* const end = described.data() + described.size();
    for (auto& size : sizes) {
      auto const [next, failed] = std::from_chars(at, end, size);
      if (failed != std::errc{} || next == end || *next != ',') break;
      at = next + 1;
    }
  }
  struct {
    std::string_view name;
    family kind;
  } constexpr known[] = {
      {"NUMBER", family::number},
      {"FLOAT", family::real},
      {"VARCHAR", family::text},
      {"BOOLEAN", family::boolean},
      {"DATE", family::date},
      {"TIME", family::time},
      {"TIMESTAMP_NTZ", family::timestamp_ntz},
      {"TIMESTAMP_TZ", family::timestamp_tz},
      {"BINARY", family::binary},
      {"VARIANT", family::variant},
      {"GEOGRAPHY", family::geography},
      {"GEOMETRY", family::geometry},
  };
  auto const* const found =
      std::find_if(std::begin(known), std::end(known), [&](auto const& k) { return k.name == name; });
  if (found == std::end(known)) return std::nullopt;
  column_type type{found->kind};
  if (type.kind == family::number) {
    type.precision = open == std::string_view::npos ? column_type::most_digits : static_cast<int>(sizes[0]);
    type.scale = static_cast<int>(sizes[1]);
  }
  bool const whole = (type.kind == family::text && sizes[0] >= most_characters) ||
                     (type.kind == family::binary && sizes[0] >= most_bytes);
  if ((type.kind == family::text || type.kind == family::binary) && !whole) type.length = sizes[0];
  return type;
}

fitness fits(column_type const& existing, column_type const& wanted) {
  if (existing.kind != wanted.kind) {
    // Text takes any value's text.
    bool const text = existing.kind == family::text && existing.length == 0 && wanted.kind != family::variant;
    return text ? fitness::fits : fitness::does_not_fit;
  }
  if (wanted.kind == family::number) {
    bool const whole_digits = existing.precision - existing.scale >= wanted.precision - wanted.scale;
    if (whole_digits && existing.scale >= wanted.scale) return fitness::fits;
    return existing.scale == wanted.scale ? fitness::can_be_widened : fitness::does_not_fit;
  }
  return existing.length == 0 ? fitness::fits : fitness::can_be_widened;
}

bool may_be_unchanged(model::column const& column) {
  // Types of a fixed width are never stored out of line.
  constexpr std::array<std::uint32_t, 17> fixed{
      bool_oid,  char_oid, name_oid, int8_oid,      int2_oid,        int4_oid,     oid_oid,    float4_oid, float8_oid,
      money_oid, date_oid, time_oid, timestamp_oid, timestamptz_oid, interval_oid, timetz_oid, uuid_oid};
  return std::find(fixed.begin(), fixed.end(), oid_of(column)) == fixed.end();
}

}  // namespace etl::destination::snowflake
