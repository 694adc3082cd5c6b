#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "model/relation.hpp"
#include "pg/connection.hpp"

namespace etl::pipeline::catalog {

namespace asio = boost::asio;

// Fills in model::relation::types of relations whose columns are described already. Asks nothing when every type is
// built in.
asio::awaitable<result<void>> define_types(pg::connection& source, std::span<model::relation* const> relations);

}  // namespace etl::pipeline::catalog
