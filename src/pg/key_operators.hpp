#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/relation.hpp"
#include "pg/connection.hpp"

namespace etl::pg {

// For each column of the relation's key the operator by which a unique index compares it, qualified: our sessions have
// an empty search path, in which a type of an extension has no `=`, or, like citext, silently that of text. Plain `=`
// where every type is built in, and where no index is found.
asio::awaitable<result<std::vector<std::string>>> find_key_operators(connection& server, model::relation const& table);

// `column operator $parameter`, for a column of a key. The parameter gets the column's type: left to itself, PostgreSQL
// would take it for the operator's, which need not be a type that a value can be read as (anyrange, record).
[[nodiscard]] std::string key_equals(model::column const& column, std::string const& equals, std::size_t parameter);

}  // namespace etl::pg
