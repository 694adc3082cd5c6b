#include "encode/unrepresentable.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace etl::encode {

unrepresentable unrepresentable_policies::of(model::relation const& table, std::size_t column) const {
  auto const found = std::find_if(exceptions.begin(), exceptions.end(), [&](exception const& one) {
    return one.column == table.columns[column].name && one.table == table.name && one.schema == table.schema;
  });
  auto const policy = found == exceptions.end() ? otherwise : found->policy;
  bool const in_key = std::find(table.key.begin(), table.key.end(), column) != table.key.end();
  return in_key && policy == unrepresentable::null ? unrepresentable::error : policy;
}

std::string policy_section(model::relation const& table, std::size_t column) {
  return fmt::format("[destination.columns.'{}.{}']", table.quoted_name(),
                     model::quote_identifier(table.columns[column].name));
}

}  // namespace etl::encode
