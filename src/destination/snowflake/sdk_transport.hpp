#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "config/secret.hpp"
#include "destination/snowflake/transport.hpp"
#include "python/interpreter.hpp"

namespace etl::destination::snowflake {

struct sdk_options {
  python::interpreter* python = nullptr;  // outlives the transport
  std::string pipeline;
  std::string account;
  std::string endpoint;  // empty: the account's public address
  std::string ca_file;
  std::string user;
  config::secret private_key;  // PKCS#8 PEM
  config::secret passphrase;   // empty: the key is not encrypted
  std::string role;
  std::string database;
  std::string schema;  // of the landing tables
};

// The official SDK, `snowpipe-streaming`, in the process's Python interpreter. It gets finished NDJSON, one bytes
// object an append. What it does by itself beside the interpreter (sending, retrying) is bounded by budgets of a
// minute. Errors: those of transport, `snowflake.sdk` (retry), `snowflake.sdk_refused` (config), and those of
// python::interpreter::run.
class sdk_transport final : public transport {
 public:
  explicit sdk_transport(sdk_options options);
  ~sdk_transport() override;

  // Loads the SDK. Before anything else.
  asio::awaitable<result<void>> start();
  asio::awaitable<result<channel_status>> open(std::string table, std::string channel) override;
  asio::awaitable<result<void>> append(std::string const& channel, std::string_view rows, std::size_t count,
                                       position first, position last) override;
  asio::awaitable<result<std::vector<channel_status>>> status(std::vector<std::string> const& channels) override;
  asio::awaitable<void> close() override;

 private:
  struct python_side;

  sdk_options options_;
  std::shared_ptr<python_side> there_;
};

}  // namespace etl::destination::snowflake
