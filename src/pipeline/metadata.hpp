#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "pg/connection.hpp"
#include "runtime/event.hpp"

namespace etl::pipeline {

namespace asio = boost::asio;

// Somebody alters what was asked about, or waits to do so.
[[nodiscard]] inline bool is_locked(error const& failure) { return failure.sqlstate == "55P03"; }

// The one connection that a pipeline asks its source's catalog over. Its users take turns; a connection that broke
// while nobody used it is made anew. Home core.
//
// Much of the catalog shows a table's size or columns only under a lock of it. A statement that waits for one gives up
// soon (is_locked()): who alters the table may wait for the copy's lock in turn, and that one for the stream to go on.
class metadata_connection {
 public:
  metadata_connection(asio::any_io_executor executor, pg::connect_options options)
      : options_(std::move(options)), free_(executor) {
    std::erase_if(options_.settings, [](auto const& setting) { return setting.first == "lock_timeout"; });
    options_.settings.emplace_back("lock_timeout", "1s");
  }

  // A turn: the connection is the holder's until it goes out of scope.
  class turn {
   public:
    explicit turn(metadata_connection& owner) : owner_(&owner) {}
    turn(turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (owner_ == nullptr) return;
      owner_->taken_ = false;
      owner_->free_.notify();
    }
    [[nodiscard]] pg::connection& operator*() const { return *owner_->connection_; }

   private:
    metadata_connection* owner_;
  };

  asio::awaitable<result<turn>> take() {
    while (taken_) co_await free_.wait();
    taken_ = true;
    turn mine(*this);
    if (!connection_ || connection_->broken()) {
      auto made = co_await pg::connection::connect(options_);
      if (!made) co_return fail(std::move(made));
      connection_ = std::move(*made);
    }
    co_return mine;
  }

 private:
  pg::connect_options options_;
  std::unique_ptr<pg::connection> connection_;
  runtime::event free_;
  bool taken_ = false;
};

}  // namespace etl::pipeline
