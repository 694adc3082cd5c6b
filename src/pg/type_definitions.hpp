#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/relation.hpp"
#include "pg/connection.hpp"

namespace etl::pg {

// What a server's catalog says of types that do not come with PostgreSQL. The session's search path has to be empty:
// names are qualified then.

// Fills in model::relation::types of relations whose columns are described already. Asks nothing when every type is
// built in.
asio::awaitable<result<void>> define_types(connection& server, std::span<model::relation* const> relations);

// The definitions of types of these names, as far as the server has them.
asio::awaitable<result<std::map<std::string, model::type_definition>>> find_types_named(
    connection& server, std::vector<model::type_definition> const& wanted);

}  // namespace etl::pg
