#include "encode/ndjson.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "encode/arrow_type.hpp"
#include "encode/block.hpp"
#include "encode/json_text.hpp"
#include "encode/row_shape.hpp"
#include "encode/timestamp.hpp"

namespace etl::encode {
namespace {

using model::operation;
using pgoutput::value_kind;

// Rows up to this size get room for the worst that escaping can do; larger ones are measured first.
constexpr std::size_t roomy = 16 * 1024;

constexpr std::array<std::string_view, 5> operation_names{"insert", "update", "remove", "rekey", "copy"};
static_assert(static_cast<std::size_t>(operation::copy) == operation_names.size() - 1);

// pg_type.dat; these OIDs are part of PostgreSQL's protocol and never change.
enum type_oid : std::uint32_t {
  bool_oid = 16,
  bytea_oid = 17,
  int8_oid = 20,
  int2_oid = 21,
  int4_oid = 23,
  oid_oid = 26,
  json_oid = 114,
  float4_oid = 700,
  float8_oid = 701,
  date_oid = 1082,
  time_oid = 1083,
  timestamp_oid = 1114,
  timestamptz_oid = 1184,
  numeric_oid = 1700,
  jsonb_oid = 3802,
};

// Copies whole blocks: both sides have room beyond `text`.
char* put_padded(char* out, char const* text, std::size_t size) {
  std::size_t done = 0;
  do {
    block(text + done).store(out + done);
    done += block::size;
  } while (done < size);
  return out + size;
}

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

constexpr std::string_view hex_prefix = "\\x";

}  // namespace

std::string listed_name(std::string_view column) {
  std::string listed = ",";
  for (char const byte : column) {
    if (byte == ',') {
      listed += "%2C";
    } else if (byte == '%') {
      listed += "%25";
    } else {
      listed += byte;
    }
  }
  listed += ',';
  return listed;
}

ndjson_encoder::ndjson_encoder(model::relation_ptr table, ndjson_options const& options)
    : table_(std::move(table)), typed_(options.typed) {
  auto const shape_of = [&](model::column const& column) {
    switch (column.base_type_oid != 0 ? column.base_type_oid : column.type_oid) {
      case bool_oid:
        return shape::boolean;
      case int2_oid:
      case int4_oid:
      case int8_oid:
      case oid_oid:
      case float4_oid:
      case float8_oid:
        return shape::number;
      case numeric_oid:
        if (!options.numeric_as_text) return shape::number;
        return column.type_modifier >= 0 && arrow_type_of(column).what == arrow_type::kind::decimal ? shape::numeric
                                                                                                    : shape::text;
      case bytea_oid:
        return options.bare_hex ? shape::hex : shape::text;
      case date_oid:
      case time_oid:
      case timestamp_oid:
      case timestamptz_oid:
        return shape::time;
      case json_oid:
      case jsonb_oid:
        return shape::json;
      default:
        return shape::text;
    }
  };
  for (std::size_t i = 0; i < table_->columns.size(); ++i) {
    auto const& column = table_->columns[i];
    names_are_valid_ = names_are_valid_ && valid_utf8(column.name);
    auto const prefix = "," + quote_json(column.name) + ":";
    columns_.push_back({.prefix = static_cast<std::uint32_t>(prefixes_.size()),
                        .prefix_size = static_cast<std::uint32_t>(prefix.size()),
                        .column = static_cast<std::uint16_t>(i),
                        .as = shape_of(column),
                        .policy = options.on_unrepresentable.of(*table_, i)});
    auto const listed = quote_json(listed_name(column.name));
    listed_.push_back(listed.substr(2, listed.size() - 3));
    most_unchanged_ += listed.size();
    prefixes_ += prefix;
    prefixes_.append(block::size - prefix.size() % block::size, ' ');
  }
  for (auto const index : table_->key) key_.push_back(columns_[index]);
  if (key_.empty()) key_ = columns_;

  auto const start = "{" + quote_json(options.position_name) + ":\"";
  position_offset_ = start.size();
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    heads_[i] =
        fmt::format("{}{:0{}}\",{}:\"{}\",{}:", start, 0, position::text_size, quote_json(options.operation_name),
                    operation_names[i], quote_json(options.commit_time_name));
  }
  heads_[static_cast<std::size_t>(operation::copy)] += "null";
  old_key_prefix_ = "," + quote_json(options.old_key_name) + ":";
  if (!options.unchanged_name.empty()) unchanged_prefix_ = "," + quote_json(options.unchanged_name) + ":\",";
  set_commit_time(0);
}

void ndjson_encoder::set_commit_time(std::int64_t commit_time) {
  commit_time_ = commit_time;
  commit_time_text_.fill('"');
  if (write_timestamp(commit_time_text_.data() + 1, commit_time)) {
    commit_time_size_ = commit_time_text_.size();
  } else {
    commit_time_size_ = static_cast<std::size_t>(put(commit_time_text_.data(), "null") - commit_time_text_.data());
  }
}

result<void> ndjson_encoder::encode(buffer& out, operation kind, position at, std::int64_t commit_time,
                                    pgoutput::tuple old_values, pgoutput::tuple new_row) {
  if (auto wrong = check_shape(*table_, kind, old_values, new_row)) return *std::move(wrong);
  if (!names_are_valid_) return to_error({.why = problem::reason::encoding});
  if (commit_time != commit_time_) set_commit_time(commit_time);

  auto const& head = heads_[static_cast<std::size_t>(kind)];
  bool const removes = kind == operation::remove;
  bool const rekeys = kind == operation::rekey;
  auto most = head.size() + commit_time_text_.size() + write_slack;
  if (removes || rekeys) most += most_for(key_, old_values);
  if (!removes) most += most_for(columns_, new_row);
  if (rekeys) most += old_key_prefix_.size();
  if (!unchanged_prefix_.empty()) most += unchanged_prefix_.size() + most_unchanged_;

  char* const start = out.reserve(most);
  char* end = put(start, head);
  at.write_text(start + position_offset_);
  if (kind != operation::copy) end = put(end, {commit_time_text_.data(), commit_time_size_});
  problem found;
  if (rekeys) {
    end = put(end, old_key_prefix_);
    auto* const object = end;
    end = write_columns(end, key_, old_values, found);
    if (end == object) ++end;
    *object = '{';  // in place of the first column's comma
    *end++ = '}';
  }
  end = removes ? write_columns(end, key_, old_values, found) : write_columns(end, columns_, new_row, found);
  if (!removes && !unchanged_prefix_.empty()) end = write_unchanged(end, new_row);
  *end++ = '}';
  *end++ = '\n';
  if (found.why != problem::reason::none) return to_error(found);
  auto const size = static_cast<std::size_t>(end - start);
  if (size > std::numeric_limits<decltype(model::row::size)>::max()) {
    return error{.kind = severity::data,
                 .code = "data.too_large",
                 .message = fmt::format("a row of {} takes more than 4 GiB as JSON", table_->quoted_name()),
                 .hint = "Leave its large columns out of the publication.",
                 .where = at.commit,
                 .table = table_->oid};
  }
  out.commit(size);
  return result<void>();
}

std::size_t ndjson_encoder::most_for(std::vector<step> const& steps, pgoutput::tuple row) const {
  constexpr std::size_t around = sizeof("\"\"}\n") + sizeof("false");
  std::size_t bytes = 0;
  for (auto const& how : steps) bytes += row[how.column].data.size();
  if (bytes <= roomy) return prefixes_.size() + steps.size() * around + around + bytes * longest_escape;
  bytes = prefixes_.size() + steps.size() * around + around;
  for (auto const& how : steps) bytes += escaped_size(row[how.column].data);
  return bytes;
}

char* ndjson_encoder::write_columns(char* out, std::vector<step> const& steps, pgoutput::tuple row,
                                    problem& found) const {
  for (auto const& how : steps) {
    auto const& v = row[how.column];
    if (v.kind == value_kind::unchanged) continue;
    out = put_padded(out, prefixes_.data() + how.prefix, how.prefix_size);
    out = write_value(out, how, v, found);
  }
  return out;
}

char* ndjson_encoder::write_unchanged(char* out, pgoutput::tuple row) const {
  bool any = false;
  for (auto const& how : columns_) {
    if (row[how.column].kind != value_kind::unchanged) continue;
    if (!any) out = put(out, unchanged_prefix_);
    any = true;
    out = put(out, listed_[how.column]);
  }
  if (any) *out++ = '"';
  return out;
}

char* ndjson_encoder::write_value(char* out, step const& how, pgoutput::value const& v, problem& found) const {
  if (v.kind == value_kind::null) return put(out, "null");
  if (v.kind == value_kind::binary) {
    found = {problem::reason::binary, how.column};
    return out;
  }
  bool high = false;
  switch (how.as) {
    case shape::boolean:
      return put(out, v.data == "t" ? "true" : "false");
    case shape::number:
      return write_number(out, how, v.data, found);
    case shape::json:
      out = write_on_one_line(out, v.data, high);
      break;
    case shape::hex:
      *out++ = '"';
      out = put(out, v.data.starts_with(hex_prefix) ? v.data.substr(hex_prefix.size()) : v.data);
      *out++ = '"';
      return out;
    case shape::numeric:
    case shape::time:
      if (typed_ && beyond_range(how, v.data)) {
        if (!write_instead(problem::reason::beyond_range, out, how, found)) {
          found = {problem::reason::beyond_range, how.column};
        }
        return out;
      }
      [[fallthrough]];
    case shape::text:
      *out++ = '"';
      out = write_escaped(out, v.data, high);
      *out++ = '"';
  }
  if (high && !valid_utf8(v.data)) found = {problem::reason::encoding, how.column};
  return out;
}

// PostgreSQL's numbers are JSON's, but for NaN, Infinity and -Infinity: those end in a letter.
char* ndjson_encoder::write_number(char* out, step const& how, std::string_view digits, problem& found) {
  if (!digits.empty() && is_digit(digits.back())) return put(out, digits);
  if (write_instead(problem::reason::unrepresentable, out, how, found)) return out;
  *out++ = '"';
  out = put(out, digits);
  *out++ = '"';
  return out;
}

bool ndjson_encoder::write_instead(problem::reason why, char*& out, step const& how, problem& found) {
  if (how.policy == unrepresentable::error) found = {why, how.column};
  if (how.policy == unrepresentable::null) out = put(out, "null");
  return how.policy != unrepresentable::text;
}

// Of numerics only those that have a type of at most 38 digits come here. Times: "infinity", "0044-03-15 BC",
// "10000-01-01", "24:00:00".
bool ndjson_encoder::beyond_range(step const& how, std::string_view text) const {
  if (text.empty()) return false;
  if (how.as == shape::numeric) return !is_digit(text.back());
  if (!is_digit(text.back()) || text.starts_with("24:")) return true;
  auto const dash = text.find('-');
  auto const colon = text.find(':');
  bool const has_date = dash != std::string_view::npos && (colon == std::string_view::npos || dash < colon);
  return has_date && dash > 4;
}

void ndjson_encoder::patch_position(char* line, position at) {
  auto* name = line + 2;
  while (*name != '"') name += *name == '\\' ? 2 : 1;
  at.write_text(name + std::strlen("\":\""));
}

error ndjson_encoder::to_error(problem const& found) const {
  auto const table = table_->quoted_name();
  auto const column = names_are_valid_ ? model::quote_identifier(table_->columns[found.column].name) : "";
  switch (found.why) {
    case problem::reason::encoding:
      return {.kind = severity::data,
              .code = "data.encoding",
              .message = names_are_valid_ ? fmt::format("a value of column {} of {} is not valid UTF-8", column, table)
                                          : "a table has a column whose name is not valid UTF-8",
              .hint =
                  "The source database probably has the encoding SQL_ASCII, which checks nothing: correct the "
                  "bytes there, or leave the column out of the publication.",
              .table = table_->oid};
    case problem::reason::unrepresentable:
      return {.kind = severity::data,
              .code = "data.unrepresentable",
              .message =
                  fmt::format("column {} of {} holds NaN or an infinity, which JSON numbers cannot say", column, table),
              .hint = fmt::format(
                  "Set destination.on_unrepresentable to \"text\" or \"null\", or on_unrepresentable in {}.",
                  policy_section(*table_, found.column)),
              .table = table_->oid};
    case problem::reason::beyond_range:
      return {
          .kind = severity::data,
          .code = "data.beyond_range",
          .message = fmt::format("column {} of {} holds a value that the destination's type cannot: NaN, an "
                                 "infinite date, one before Christ or beyond the year 9999, or 24:00:00",
                                 column, table),
          .hint = fmt::format("Correct the value, set on_unrepresentable = \"null\" in {}, or leave the column out of "
                              "the publication.",
                              policy_section(*table_, found.column)),
          .table = table_->oid};
    case problem::reason::binary:
    case problem::reason::none:
      break;
  }
  return {.kind = severity::bug,
          .code = "encode.binary",
          .message = fmt::format("column {} of {} came in binary format where JSON needs text", column, table),
          .table = table_->oid};
}

}  // namespace etl::encode
