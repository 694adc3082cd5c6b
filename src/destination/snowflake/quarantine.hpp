#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "runtime/blocking_worker.hpp"

namespace etl::destination::snowflake {

namespace asio = boost::asio;

// Where rows go that Snowflake has refused: a file of lines for each channel, and beside it how many refusals of that
// channel have been seen to. Files are for the user alone. Home core; the disk is another thread's business.
//
// Errors: what state::file_error makes of the system's, as `snowflake.quarantine`.
class quarantine {
 public:
  explicit quarantine(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::string rows_file(std::string_view channel) const;
  // How many of the channel's refusals have been seen to: the service counts from the channel's beginning.
  asio::awaitable<result<std::uint64_t>> seen(std::string channel);
  // Appends lines, durably, and then writes down that `refusals` have been seen to.
  asio::awaitable<result<void>> put_aside(std::string channel, std::string lines, std::uint64_t refusals);

 private:
  [[nodiscard]] std::string count_file(std::string_view channel) const;

  std::string directory_;
  runtime::blocking_worker worker_{"quarantine"};
};

}  // namespace etl::destination::snowflake
