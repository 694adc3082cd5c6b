#include "encode/arrow_rows.hpp"

#include <fmt/format.h>

#include <array>

#include "encode/copy_rows.hpp"
#include "encode/json_text.hpp"

namespace etl::encode {
namespace {

using kind = arrow_type::kind;

// Columns of the batch.
enum own_column : std::size_t { operation, place, commit_time, old_key, unchanged, first_of_table };

// By model::operation.
constexpr std::array<std::string_view, 5> operation_names{"insert", "update", "remove", "rekey", "copy"};
constexpr std::int64_t postgres_epoch = 946'684'800'000'000;  // 2000-01-01 in microseconds since 1970-01-01

arrow_column empty_column(arrow_field const& field, infinities infinite) {
  if (field.type.what != kind::record) return {field.type, infinite};
  std::vector<arrow_column> children;
  children.reserve(field.children.size());
  for (auto const& child : field.children) children.push_back(empty_column(child, infinite));
  return arrow_column(std::move(children));
}

template <class Unsigned>
bool take_big_endian(std::string_view& from, Unsigned& number) {
  if (from.size() < sizeof(number)) return false;
  number = 0;
  for (std::size_t i = 0; i < sizeof(number); ++i) {
    number = static_cast<Unsigned>(number << 8 | static_cast<unsigned char>(from[i]));
  }
  from.remove_prefix(sizeof(number));
  return true;
}

}  // namespace

arrow_encoder::arrow_encoder(model::relation_ptr table, arrow_options options)
    : table_(std::move(table)), options_(std::move(options)), place_in_key_(table_->columns.size(), -1) {
  arrow_field all{"", {kind::record}, {}};
  all.children.push_back({options_.operation_name, {kind::text}, {}});
  all.children.push_back({options_.position_name, {kind::text}, {}});
  all.children.push_back({options_.commit_time_name, {kind::instant}, {}});
  all.children.push_back({options_.old_key_name, {kind::record}, {}});
  all.children.push_back({options_.unchanged_name, {kind::list, kind::text}, {}});
  for (auto const& column : table_->columns) {
    all.children.push_back({column.name, arrow_type_of(column), {}});
    names_are_valid_ = names_are_valid_ && valid_utf8(column.name);
  }
  for (std::size_t i = 0; i < table_->columns.size(); ++i) {
    null_instead_.push_back(options_.on_unrepresentable.of(*table_, i) == unrepresentable::null);
  }
  for (std::size_t i = 0; i < table_->key.size(); ++i) {
    place_in_key_[table_->key[i]] = static_cast<std::int32_t>(i);
    all.children[old_key].children.push_back(all.children[first_of_table + table_->key[i]]);
  }
  schema_ = std::make_shared<arrow_field const>(std::move(all));
}

result<std::shared_ptr<arrow_batch const>> arrow_encoder::encode(model::table_rows const& rows) {
  if (!names_are_valid_) {
    return error{.kind = severity::data,
                 .code = "data.encoding",
                 .message = fmt::format("a column of {} has a name that is not UTF-8", table_->quoted_name()),
                 .hint = "Rename it at the source; a database of encoding SQL_ASCII allows such names.",
                 .table = table_->oid};
  }
  auto made = std::make_shared<arrow_batch>(arrow_batch{schema_, empty_column(*schema_, options_.infinite)});
  std::size_t offset = 0;
  bool well_formed = rows.origins.size() == rows.rows.size();
  for (std::size_t i = 0; i < rows.rows.size() && well_formed; ++i) {
    auto& columns = made->rows.children();
    auto const& row = rows.rows[i];
    auto const& origin = rows.origins[i];
    columns[operation].append_text(operation_names[static_cast<std::size_t>(row.kind)]);
    std::array<char, position::text_size> text;
    origin.at.write_text(text.data());
    columns[place].append_text({text.data(), text.size()});
    if (origin.commit_time == model::no_commit_time) {
      columns[commit_time].append_null();
    } else {
      columns[commit_time].append_number(origin.commit_time + postgres_epoch);
    }
    problem found;
    well_formed = add_row(made->rows, row, rows.bytes.view().substr(offset, row.size), found);
    if (found.why != unfit::no) return to_error(found);
    offset += row.size;
  }
  if (!well_formed) {
    return error{.kind = severity::bug,
                 .code = "encode.rows",
                 .message = fmt::format("rows of {} are not encoded as its columns ask for", table_->quoted_name()),
                 .table = table_->oid};
  }
  return std::shared_ptr<arrow_batch const>(std::move(made));
}

bool arrow_encoder::add_row(arrow_column& rows, model::row const& row, std::string_view bytes, problem& found) {
  auto& old = rows.children()[old_key];
  if (row.kind == model::operation::rekey) {
    if (!add_old_key(old, bytes, found)) return false;
  } else {
    old.append_null();
  }
  if (!add_columns(rows, row.kind == model::operation::remove, bytes, found)) return false;
  rows.append_present();
  return bytes.empty();
}

bool arrow_encoder::add_old_key(arrow_column& old, std::string_view& bytes, problem& found) {
  if (!split_tuple(bytes, table_->key.size())) return false;
  for (std::size_t i = 0; i < values_.size(); ++i) add(old.children()[i], values_[i], table_->key[i], found);
  old.append_present();
  return true;
}

bool arrow_encoder::add_columns(arrow_column& rows, bool key_only, std::string_view& bytes, problem& found) {
  auto const count = table_->columns.size();
  if (!split_tuple(bytes, key_only ? table_->key.size() : count)) return false;
  auto* const columns = rows.children().data() + first_of_table;
  bool partial = false;
  for (std::size_t i = 0; i < count; ++i) {
    auto const place = key_only ? place_in_key_[i] : static_cast<std::int32_t>(i);
    if (place < 0) {
      columns[i].append_null();
      continue;
    }
    auto const& value = values_[static_cast<std::size_t>(place)];
    partial = partial || value.length == copy_unchanged;
    add(columns[i], value, static_cast<std::uint16_t>(i), found);
  }
  if (partial) {
    add_unchanged(rows.children()[unchanged]);
  } else {
    rows.children()[unchanged].append_null();
  }
  return true;
}

bool arrow_encoder::split_tuple(std::string_view& bytes, std::size_t columns) {
  std::uint16_t count = 0;
  if (!take_big_endian(bytes, count) || count != columns) return false;
  values_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    if (!take_big_endian(bytes, bits)) return false;
    auto const length = static_cast<std::int32_t>(bits);
    auto const size = length < 0 ? 0 : static_cast<std::size_t>(length);
    if (bytes.size() < size) return false;
    values_.push_back({bytes.substr(0, size), length});
    bytes.remove_prefix(size);
  }
  return true;
}

void arrow_encoder::add(arrow_column& to, value const& from, std::uint16_t column, problem& found) const {
  if (from.length < 0) {
    to.append_null();
  } else if (auto const why = to.append(from.text); why != unfit::no) {
    if (null_instead_[column] && why != unfit::encoding) {
      to.append_null();
    } else if (found.why == unfit::no) {
      found = {why, column};
    }
  }
}

void arrow_encoder::add_unchanged(arrow_column& names) const {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].length == copy_unchanged) names.append_element(table_->columns[i].name);
  }
  names.end_list();
}

error arrow_encoder::to_error(problem const& found) const {
  auto const& column = table_->columns[found.column];
  auto const where = fmt::format("a value of column {} of {}, of type {},", model::quote_identifier(column.name),
                                 table_->quoted_name(), column.type_name);
  error failure{.kind = severity::data, .code = "data.unrepresentable", .table = table_->oid};
  switch (found.why) {
    case unfit::encoding:
      failure.code = "data.encoding";
      failure.message = fmt::format("{} is not UTF-8", where);
      failure.hint = "A database of encoding SQL_ASCII holds bytes as they came: correct them at the source.";
      break;
    case unfit::nested:
      failure.message = fmt::format("{} has several dimensions, or an index that does not start at 1", where);
      failure.hint = fmt::format(
          "Lists have one dimension here. Change the value, set on_unrepresentable = \"null\" in {}, "
          "or leave the column out of the publication.",
          policy_section(*table_, found.column));
      break;
    case unfit::value:
    case unfit::no:
      failure.message = fmt::format("{} has no form as {}", where, arrow_type_of(column).to_text());
      failure.hint = fmt::format(
          "NaN, infinity and what lies outside the type's range have none. Change the value or the "
          "column's type, set on_unrepresentable = \"null\" in {}, or leave the column out of the "
          "publication.",
          policy_section(*table_, found.column));
      break;
  }
  return failure;
}

}  // namespace etl::encode
