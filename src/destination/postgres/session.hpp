#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "destination/destination.hpp"
#include "destination/postgres/postgres_destination.hpp"
#include "pg/connection.hpp"

namespace etl::destination::postgres {

// The keys of etl_stream.progress that are not documents.
inline constexpr std::string_view position_key = "position";

struct session {
  std::unique_ptr<pg::connection> connection;
  recovered progress;
  // The synchronous_commit that a commit needs to be durable as this server means it, standbys included.
  std::string durable_commit;
};

// How every session at the destination is set up.
[[nodiscard]] pg::connect_options session_access(postgres_options const& options);

// Connects, waits for the pipeline's advisory lock (the backend of a killed predecessor may still be committing), and
// reads the progress; makes the schema etl_stream on the first use. Errors besides the connection's:
// `destination.in_use`, `destination.read_only`.
asio::awaitable<result<session>> open_session(postgres_options const& options);

}  // namespace etl::destination::postgres
