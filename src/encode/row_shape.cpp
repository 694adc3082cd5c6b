#include "encode/row_shape.hpp"

#include <fmt/format.h>

namespace etl::encode {
namespace {

error no_key(model::relation const& table) {
  return {
      .kind = severity::data,
      .code = "data.no_key",
      .message = fmt::format("a row of {} was changed, but the table has no key to name it by", table.quoted_name()),
      .hint = "Give the table a primary key, or a REPLICA IDENTITY that uses a unique index.",
      .table = table.oid};
}

error wrong_width(model::relation const& table, std::size_t found) {
  return {.kind = severity::bug,
          .code = "encode.columns",
          .message =
              fmt::format("a row of {} has {} values for {} columns", table.quoted_name(), found, table.columns.size()),
          .table = table.oid};
}

}  // namespace

std::optional<error> check_shape(model::relation const& table, model::operation kind, pgoutput::tuple old_values,
                                 pgoutput::tuple new_row) {
  bool const removes = kind == model::operation::remove;
  bool const rekeys = kind == model::operation::rekey;
  if (rekeys && table.key.empty()) return no_key(table);
  if ((rekeys || removes) && old_values.size() != table.columns.size()) return wrong_width(table, old_values.size());
  if (!removes && new_row.size() != table.columns.size()) return wrong_width(table, new_row.size());
  return std::nullopt;
}

}  // namespace etl::encode
