#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

// libpq's types, so that its header stays inside this room.
struct pg_conn;
struct pg_result;

namespace etl::pg {

namespace asio = boost::asio;

// Where and how to connect. `url` is what libpq takes: a URI or key=value pairs; service files, PGPASSFILE and the
// environment work as libpq has them.
struct connect_options {
  std::string url;
  std::optional<std::string> password;  // overrides the one in `url`
  std::string application_name = "etl-stream";
  bool replication = false;  // a walsender: speaks the replication commands besides SQL
  // Settings for the session, sent with the start-up packet: ("DateStyle", "ISO").
  std::vector<std::pair<std::string, std::string>> settings;
  std::chrono::milliseconds timeout{10'000};
  // Waits for a place among the process's connections, which is kept until the connection is gone. Empty: no limit.
  std::function<asio::awaitable<std::shared_ptr<void>>()> admit;
};

// Settings that make the texts of values, as they are written and as they are read, independent of the server's and the
// role's defaults. Every session that values pass through uses these.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> canonical_text_settings();

// Rows of one statement, in text form. Cheap to move. Views borrow from it.
class rows {
 public:
  rows() = default;
  explicit rows(pg_result* owned) : result_(owned) {}

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t columns() const;
  [[nodiscard]] bool is_null(std::size_t row, std::size_t column) const;
  [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const;  // empty for NULL
  [[nodiscard]] std::int64_t integer(std::size_t row, std::size_t column) const;   // 0 where it is no number
  [[nodiscard]] bool flag(std::size_t row, std::size_t column) const { return text(row, column) == "t"; }
  // Rows that INSERT, UPDATE, DELETE or COPY touched.
  [[nodiscard]] std::uint64_t affected() const;

 private:
  struct clear {
    void operator()(pg_result* owned) const noexcept;
  };
  std::unique_ptr<pg_result, clear> result_;
};

// A parameter; nullopt data is NULL. Borrowed until the call returns.
struct parameter {
  std::optional<std::string_view> data;
  bool binary = false;
};

// One statement of a pipeline: by prepared name, or by text (prepared under `name` first when both are given).
struct statement {
  std::string_view sql;
  std::string_view name;
  std::vector<parameter> parameters;
  bool binary_results = false;
};

// One libpq connection on its home core. One operation at a time; every operation may be cancelled, after which only
// destruction is allowed. Errors: class 08/57/53/58 and broken sockets are `retry`; 22 and 23 are `data`; missing
// objects and privileges are `config`. Primary messages of class 22 and 23 may quote values and go to server_text.
class connection {
 public:
  // Resolves host names without blocking the core.
  [[nodiscard]] static asio::awaitable<result<std::unique_ptr<connection>>> connect(connect_options options);
  ~connection();
  connection(connection const&) = delete;
  connection& operator=(connection const&) = delete;

  [[nodiscard]] int server_version() const;  // 150004 for 15.4
  [[nodiscard]] std::string_view parameter_status(char const* name) const;
  [[nodiscard]] int backend_pid() const;
  [[nodiscard]] int native_socket() const;
  [[nodiscard]] bool broken() const { return broken_; }

  // Simple protocol: several statements are allowed; the rows of the last one are returned, the first error ends it.
  // `what` names the deed for the error message ("reading the catalog").
  asio::awaitable<result<rows>> query(std::string sql, std::string_view what);
  // Extended protocol, text results.
  asio::awaitable<result<rows>> query(std::string sql, std::vector<std::optional<std::string>> parameters,
                                      std::string_view what);
  // All statements in one round trip (libpq pipeline mode), one implicit or explicit transaction as they say. Results
  // in the order of the statements (none for those that only prepared). The first error aborts the rest. `failed_at`,
  // when given, gets the index of the statement that failed.
  asio::awaitable<result<std::vector<rows>>> pipeline(std::span<statement const> statements, std::string_view what,
                                                      std::size_t* failed_at = nullptr);

  // COPY … FROM STDIN: begin, put as often as needed (waits while the server is slow), end → rows copied.
  asio::awaitable<result<void>> begin_copy_in(std::string sql, std::string_view what);
  asio::awaitable<result<void>> put_copy(std::string_view bytes);
  asio::awaitable<result<std::uint64_t>> end_copy_in(std::string_view what);

  // COPY … TO STDOUT and START_REPLICATION (COPY BOTH).
  asio::awaitable<result<void>> begin_copy_out(std::string sql, std::string_view what);
  enum class got : std::uint8_t { row, nothing_yet, end };
  // The next CopyData message if one has arrived; `out` is valid until the next call. Never waits. At `end` call
  // end_copy_out() for the outcome.
  [[nodiscard]] result<got> next_copy(std::string_view& out);
  // Takes in what the socket holds now: one read. Never waits.
  [[nodiscard]] result<void> take_in();
  // Waits until there is something to read (or the server has closed).
  asio::awaitable<result<void>> wait_readable();
  asio::awaitable<result<void>> end_copy_out(std::string_view what);
  // SO_RCVBUF (socket(7)): the kernel grants double, and no longer adapts it by itself.
  void limit_receive_buffer(std::uint32_t bytes);
  // SO_RCVLOWAT: how much has to be there before the socket counts as readable. Zero: one byte.
  void wake_at(std::uint32_t low_water);
  // Bytes that one read would find now.
  [[nodiscard]] std::size_t readable_bytes() const;
  // Smoothed round-trip time of the connection (TCP_INFO); zero where there is none.
  [[nodiscard]] std::chrono::microseconds round_trip() const;
  // COPY BOTH: sends one CopyData; waits for the socket to take it.
  asio::awaitable<result<void>> put_message(std::string_view bytes);

 private:
  explicit connection(asio::any_io_executor executor);

  asio::awaitable<result<void>> open(connect_options options);
  asio::awaitable<result<void>> wait(bool for_read, bool for_write);
  asio::awaitable<result<void>> flush();
  asio::awaitable<result<pg_result*>> next_result();
  asio::awaitable<result<rows>> collect(std::string_view what);
  asio::awaitable<result<void>> enter_copy(std::string sql, std::string_view what, int wanted_status);
  [[nodiscard]] error connection_error(std::string_view what);

  asio::any_io_executor executor_;
  asio::posix::stream_descriptor socket_;
  pg_conn* conn_ = nullptr;
  char* copy_row_ = nullptr;
  std::shared_ptr<void> permit_;
  bool broken_ = false;
};

// The error that a failed PGresult's fields describe. `what` is the deed in our words. For tests and this room.
[[nodiscard]] error server_error(std::string_view sqlstate, std::string_view primary, std::string_view detail,
                                 std::string_view what);

// Strips what must not be shown: user:***@host form of a connection URL or conninfo, for logs and errors.
[[nodiscard]] std::string without_secrets(std::string_view url);

}  // namespace etl::pg
