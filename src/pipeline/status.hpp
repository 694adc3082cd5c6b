#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/error.hpp"
#include "base/lsn.hpp"
#include "pg/connection.hpp"
#include "pipeline/home.hpp"

namespace etl::pipeline {

// What is kept of a pipeline between starts, besides the copies: whose slot it is and how far that may be.
struct pipeline_document {
  std::string system_identifier;
  std::string database;
  std::string slot;
  lsn confirmed{};       // never less than what PostgreSQL was told: written before it is told
  position delivered{};  // was durable at the destination when `confirmed` was written
  std::uint32_t epoch = 0;
  bool made_slot = false;
  bool made_publication = false;

  static constexpr std::string_view key = "pipeline";
  [[nodiscard]] std::string to_document() const;
  [[nodiscard]] static std::optional<pipeline_document> parse(std::string_view document);
};

// Tells PostgreSQL what is durable (standby status updates), and keeps the connection alive, whatever the destination
// is doing. Home core.
class status {
 public:
  status(home& core, pg::connection& connection, pipeline_document& document, std::chrono::milliseconds interval)
      : core_(core), connection_(connection), document_(document), interval_(interval) {}

  // Until the writer is through (home::written_out), with a last word then.
  asio::awaitable<result<void>> run();

 private:
  asio::awaitable<result<void>> confirm();
  asio::awaitable<result<void>> send(bool ask);

  home& core_;
  pg::connection& connection_;
  pipeline_document& document_;
  std::chrono::milliseconds interval_;
};

}  // namespace etl::pipeline
