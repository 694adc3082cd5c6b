#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/relation.hpp"
#include "pg/connection.hpp"

namespace etl::destination::postgres {

namespace asio = boost::asio;

// Makes the types of relation::types that the destination lacks, as part of the caller's transaction. Errors:
// `destination.type_missing` for one that only a user can bring: an extension's, a table's row type.
asio::awaitable<result<void>> make_types(pg::connection& connection, model::relation const& table);

// The statements that give the destination's enums the labels that only the source's have, each at its place. A label
// that the source's lacks is left alone, but not where labels are missing as well: then it may be one of these under
// its old name, and `destination.enum_label` says so. A type that is there and is another one than the source's, into
// which values might fit changed, is `destination.type_differs`. `types` are those of `table` as they are now.
asio::awaitable<result<std::vector<std::string>>> missing_labels(pg::connection& connection,
                                                                 model::relation const& table,
                                                                 std::vector<model::type_definition> const& types);

}  // namespace etl::destination::postgres
