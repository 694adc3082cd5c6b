#include "encode/arrow_type.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace etl::encode {
namespace {

using kind = arrow_type::kind;

// pg_type.dat
namespace oids {
constexpr std::uint32_t boolean = 16, bytea = 17, one_char = 18, name = 19, int8 = 20, int2 = 21, int4 = 23, text = 25,
                        oid = 26, json = 114, xml = 142, float4 = 700, float8 = 701, bpchar = 1042, varchar = 1043,
                        date = 1082, time = 1083, timestamp = 1114, timestamptz = 1184, interval = 1186, numeric = 1700,
                        uuid = 2950, jsonb = 3802;
constexpr std::uint32_t int2vector = 22, oidvector = 30;  // of category array, but not written like one
}  // namespace oids

constexpr int most_digits = 38;

struct digits {
  int precision;
  int scale;
};

// From "numeric(10,2)": what a domain says about the type below it is known by this name alone.
std::optional<digits> digits_in(std::string_view type_name) {
  auto const open = type_name.find('(');
  if (open == std::string_view::npos) return std::nullopt;
  digits found{0, 0};
  auto const* const end = type_name.data() + type_name.size();
  auto const precision = std::from_chars(type_name.data() + open + 1, end, found.precision);
  if (precision.ec != std::errc() || precision.ptr == end) return std::nullopt;
  if (*precision.ptr != ',') return found;
  if (std::from_chars(precision.ptr + 1, end, found.scale).ec != std::errc()) return std::nullopt;
  return found;
}

// numeric.c: make_numeric_typmod. The scale has 11 bits and a sign.
digits digits_of(std::int32_t modifier) {
  auto const bits = static_cast<std::uint32_t>(modifier - 4);
  auto const scale = static_cast<int>(bits & 0x7ff);
  return {static_cast<int>(bits >> 16 & 0xffff), (scale ^ 1024) - 1024};
}

arrow_type numeric(model::column const& column) {
  auto declared = column.type_modifier >= 4 ? digits_of(column.type_modifier) : digits_in(column.base_type_name);
  if (!declared) return {kind::text};
  // numeric(3, 5) has five digits behind the point; numeric(3, -2) has five before it.
  auto const scale = std::max(declared->scale, 0);
  auto const precision = declared->scale < 0 ? declared->precision - declared->scale : declared->precision;
  auto const wide = std::max(precision, scale);
  if (wide < 1 || wide > most_digits) return {kind::text};
  return {kind::decimal, kind::text, static_cast<std::uint8_t>(wide), static_cast<std::uint8_t>(scale)};
}

std::optional<arrow_type> scalar(std::uint32_t oid, model::column const& column) {
  switch (oid) {
    case oids::boolean:
      return arrow_type{kind::boolean};
    case oids::int2:
      return arrow_type{kind::int16};
    case oids::int4:
      return arrow_type{kind::int32};
    case oids::int8:
      return arrow_type{kind::int64};
    case oids::oid:
      return arrow_type{kind::uint32};
    case oids::float4:
      return arrow_type{kind::float32};
    case oids::float8:
      return arrow_type{kind::float64};
    case oids::numeric:
      return numeric(column);
    case oids::bytea:
      return arrow_type{kind::binary};
    case oids::date:
      return arrow_type{kind::date};
    case oids::time:
      return arrow_type{kind::time};
    case oids::timestamp:
      return arrow_type{kind::local};
    case oids::timestamptz:
      return arrow_type{kind::instant};
    case oids::interval:
      return arrow_type{kind::interval};
    case oids::uuid:
      return arrow_type{kind::uuid};
    case oids::json:
    case oids::jsonb:
      return arrow_type{kind::json};
    case oids::one_char:
    case oids::name:
    case oids::text:
    case oids::xml:
    case oids::bpchar:
    case oids::varchar:
      return arrow_type{kind::text};
    default:
      return std::nullopt;
  }
}

std::string name_of(arrow_type const& type) {
  switch (type.what) {
    case kind::boolean:
      return "bool";
    case kind::int16:
      return "int16";
    case kind::int32:
      return "int32";
    case kind::int64:
      return "int64";
    case kind::uint32:
      return "uint32";
    case kind::float32:
      return "float";
    case kind::float64:
      return "double";
    case kind::decimal:
      return fmt::format("decimal128({}, {})", type.precision, type.scale);
    case kind::text:
      return "large_string";
    case kind::json:
      return "json";
    case kind::binary:
      return "large_binary";
    case kind::date:
      return "date32";
    case kind::time:
      return "time64[us]";
    case kind::local:
      return "timestamp[us]";
    case kind::instant:
      return "timestamp[us, UTC]";
    case kind::interval:
      return "month_day_nano_interval";
    case kind::uuid:
      return "uuid";
    case kind::list:
    case kind::record:
      break;
  }
  return {};
}

}  // namespace

arrow_type arrow_type_of(model::column const& column) {
  auto const oid = column.base_type_oid;
  if (column.element_oid != 0 && oid != oids::int2vector && oid != oids::oidvector) {
    auto const element = scalar(column.element_oid, column);
    bool const open_numeric = column.element_oid == oids::numeric && element && element->what == kind::text;
    if (!element || open_numeric) return {kind::text};
    return {kind::list, element->what, element->precision, element->scale};
  }
  return scalar(oid, column).value_or(arrow_type{kind::text});
}

std::string arrow_type::format() const {
  switch (what) {
    case kind::boolean:
      return "b";
    case kind::int16:
      return "s";
    case kind::int32:
      return "i";
    case kind::int64:
      return "l";
    case kind::uint32:
      return "I";
    case kind::float32:
      return "f";
    case kind::float64:
      return "g";
    case kind::decimal:
      return fmt::format("d:{},{}", precision, scale);
    case kind::text:
    case kind::json:
      return "U";
    case kind::binary:
      return "Z";
    case kind::date:
      return "tdD";
    case kind::time:
      return "ttu";
    case kind::local:
      return "tsu:";
    case kind::instant:
      return "tsu:UTC";
    case kind::interval:
      return "tin";
    case kind::uuid:
      return "w:16";
    case kind::list:
      return "+l";
    case kind::record:
      return "+s";
  }
  return {};
}

std::string_view arrow_type::extension() const {
  if (what == kind::json) return "arrow.json";
  if (what == kind::uuid) return "arrow.uuid";
  return {};
}

std::string arrow_type::to_text() const {
  if (what == kind::list) return fmt::format("list<{}>", name_of(element_type()));
  return name_of(*this);
}

}  // namespace etl::encode
