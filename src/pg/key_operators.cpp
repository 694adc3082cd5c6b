#include "pg/key_operators.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace etl::pg {

asio::awaitable<result<std::vector<std::string>>> find_key_operators(connection& server, model::relation const& table) {
  std::vector<std::string> operators(table.key.size(), "=");
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    auto const& column = table.columns[table.key[i]];
    if (column.base_type_oid < 10'000) continue;
    auto found = co_await server.query(
        "SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_index AS i "
        "CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1], (i.indclass::oid[])[0:i.indnkeyatts - 1]) "
        "AS k(attnum, opclass) "
        "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "JOIN pg_opclass AS c ON c.oid = k.opclass "
        // Strategy 3 of a B-tree is equality (PostgreSQL manual, "Operator Classes and Operator Families").
        "JOIN pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype "
        "AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3 "
        "JOIN pg_operator AS o ON o.oid = m.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace "
        "WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND a.attname = $2 LIMIT 1",
        {table.quoted_name(), column.name}, fmt::format("looking at the key of {}", table.quoted_name()));
    if (!found) co_return fail(std::move(found));
    if (!found->empty()) operators[i] = found->text(0, 0);
  }
  co_return operators;
}

std::string key_equals(model::column const& column, std::string const& equals, std::size_t parameter) {
  return fmt::format("{} {} ${}{}{}", model::quote_identifier(column.name), equals, parameter,
                     column.base_type_name.empty() ? "" : "::", column.base_type_name);
}

}  // namespace etl::pg
