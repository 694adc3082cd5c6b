#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace etl::pg {

// Cancellation travels as an exception to the root of its task; every other outcome is a result.
inline void throw_if_cancelled(boost::system::error_code outcome) {
  if (outcome == boost::asio::error::operation_aborted) throw boost::system::system_error(outcome);
}

}  // namespace etl::pg
