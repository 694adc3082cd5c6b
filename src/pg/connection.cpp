#include "pg/connection.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "pg/wait.hpp"

namespace etl::pg {
namespace {

constexpr auto token = asio::as_tuple(asio::use_awaitable);

std::string_view field(pg_result const* from, int code) {
  char const* const text = PQresultErrorField(from, code);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

error error_of(pg_result const* from, std::string_view what) {
  return server_error(field(from, PG_DIAG_SQLSTATE), field(from, PG_DIAG_MESSAGE_PRIMARY),
                      field(from, PG_DIAG_MESSAGE_DETAIL), what);
}

bool is_error(ExecStatusType status) {
  return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE || status == PGRES_PIPELINE_ABORTED;
}

struct parameter_arrays {
  std::vector<char const*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
};

// libpq reads text parameters to their NUL; binary ones by length. Text is sent as "binary length, text format" would
// need: so text values are copied where they are not terminated.
parameter_arrays arrays_of(std::span<parameter const> parameters, std::vector<std::string>& owned) {
  parameter_arrays arrays;
  owned.reserve(parameters.size());
  for (auto const& p : parameters) {
    if (!p.data) {
      arrays.values.push_back(nullptr);
    } else if (p.binary) {
      arrays.values.push_back(p.data->data() == nullptr ? "" : p.data->data());
    } else {
      arrays.values.push_back(owned.emplace_back(*p.data).c_str());
    }
    arrays.lengths.push_back(p.data ? static_cast<int>(p.data->size()) : 0);
    arrays.formats.push_back(p.binary ? 1 : 0);
  }
  return arrays;
}

}  // namespace

void rows::clear::operator()(pg_result* owned) const noexcept { PQclear(owned); }
std::size_t rows::size() const { return result_ ? static_cast<std::size_t>(PQntuples(result_.get())) : 0; }
std::size_t rows::columns() const { return result_ ? static_cast<std::size_t>(PQnfields(result_.get())) : 0; }
bool rows::is_null(std::size_t row, std::size_t column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) == 1;
}
std::string_view rows::text(std::size_t row, std::size_t column) const {
  auto const r = static_cast<int>(row);
  auto const c = static_cast<int>(column);
  return {PQgetvalue(result_.get(), r, c), static_cast<std::size_t>(PQgetlength(result_.get(), r, c))};
}
std::int64_t rows::integer(std::size_t row, std::size_t column) const {
  auto const digits = text(row, column);
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}
std::uint64_t rows::affected() const {
  if (!result_) return 0;
  std::string_view const digits = PQcmdTuples(result_.get());
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

connection::connection(asio::any_io_executor executor) : executor_(executor), socket_(executor) {}

connection::~connection() {
  if (copy_row_ != nullptr) PQfreemem(copy_row_);
  if (socket_.is_open()) socket_.release();  // the descriptor is libpq's to close
  if (conn_ != nullptr) PQfinish(conn_);
}

int connection::server_version() const { return PQserverVersion(conn_); }
std::string_view connection::parameter_status(char const* name) const {
  char const* const value = PQparameterStatus(conn_, name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}
int connection::backend_pid() const { return PQbackendPID(conn_); }
int connection::native_socket() const { return PQsocket(conn_); }

error connection::connection_error(std::string_view what) {
  broken_ = true;
  error failure{severity::retry, "postgres.connection_lost",
                fmt::format("{}: the connection to the server was lost", what)};
  failure.server_text = PQerrorMessage(conn_);
  return failure;
}

asio::awaitable<result<void>> connection::wait(bool for_read, bool for_write) {
  using namespace asio::experimental::awaitable_operators;
  using descriptor = asio::posix::stream_descriptor;
  boost::system::error_code failed;
  if (for_read && for_write) {
    auto outcome = co_await (socket_.async_wait(descriptor::wait_read, token) ||
                             socket_.async_wait(descriptor::wait_write, token));
    failed = std::visit([](auto const& which) { return std::get<0>(which); }, outcome);
  } else {
    std::tie(failed) = co_await socket_.async_wait(for_read ? descriptor::wait_read : descriptor::wait_write, token);
  }
  throw_if_cancelled(failed);
  if (failed) co_return connection_error("waiting for the server");
  co_return result<void>();
}

asio::awaitable<result<void>> connection::flush() {
  for (;;) {
    int const left = PQflush(conn_);
    if (left == 0) co_return result<void>();
    if (left < 0) co_return connection_error("sending to the server");
    // The server may be unable to read because it is itself blocked on sending to us.
    if (auto waited = co_await wait(true, true); !waited) co_return fail(std::move(waited));
    if (auto taken = take_in(); !taken) co_return fail(std::move(taken));
  }
}

result<void> connection::take_in() {
  if (PQconsumeInput(conn_) == 0) return connection_error("reading from the server");
  return result<void>();
}

asio::awaitable<result<void>> connection::wait_readable() { return wait(true, false); }

asio::awaitable<result<pg_result*>> connection::next_result() {
  while (PQisBusy(conn_) == 1) {
    if (auto waited = co_await wait(true, false); !waited) co_return fail(std::move(waited));
    if (auto taken = take_in(); !taken) co_return fail(std::move(taken));
  }
  co_return PQgetResult(conn_);
}

// The rows of the last statement, or the first error; always reads to the end so that the connection is free again.
asio::awaitable<result<rows>> connection::collect(std::string_view what) {
  rows last;
  std::optional<error> first_error;
  for (;;) {
    auto next = co_await next_result();
    if (!next) co_return fail(std::move(next));
    if (next.value() == nullptr) break;
    auto const status = PQresultStatus(next.value());
    rows owned(next.value());
    if (is_error(status)) {
      if (!first_error) first_error = error_of(next.value(), what);
    } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      co_return error{severity::bug, "postgres.unexpected_copy", fmt::format("{}: the server began a COPY", what)};
    } else {
      last = std::move(owned);
    }
  }
  if (PQstatus(conn_) == CONNECTION_BAD) broken_ = true;
  if (first_error) co_return std::move(*first_error);
  co_return std::move(last);
}

asio::awaitable<result<rows>> connection::query(std::string sql, std::string_view what) {
  if (PQsendQuery(conn_, sql.c_str()) == 0) co_return connection_error(what);
  if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  co_return co_await collect(what);
}

asio::awaitable<result<rows>> connection::query(std::string sql, std::vector<std::optional<std::string>> parameters,
                                                std::string_view what) {
  std::vector<char const*> values;
  for (auto const& p : parameters) values.push_back(p ? p->c_str() : nullptr);
  if (PQsendQueryParams(conn_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr,
                        0) == 0) {
    co_return connection_error(what);
  }
  if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  co_return co_await collect(what);
}

asio::awaitable<result<std::vector<rows>>> connection::pipeline(std::span<statement const> statements,
                                                                std::string_view what, std::size_t* failed_at) {
  if (PQenterPipelineMode(conn_) == 0) co_return connection_error(what);
  // What each queued command belongs to, and whether it yields rows of its own.
  struct queued {
    std::size_t statement;
    bool yields;
  };
  std::vector<queued> commands;
  commands.reserve(statements.size());
  for (std::size_t i = 0; i < statements.size(); ++i) {
    auto const& s = statements[i];
    std::string const name(s.name);
    bool const prepare = !s.name.empty() && !s.sql.empty();
    if (prepare) {
      if (PQsendPrepare(conn_, name.c_str(), std::string(s.sql).c_str(), 0, nullptr) == 0)
        co_return connection_error(what);
      commands.push_back({i, false});
    }
    std::vector<std::string> owned;
    auto const arrays = arrays_of(s.parameters, owned);
    auto const count = static_cast<int>(arrays.values.size());
    int const format = s.binary_results ? 1 : 0;
    int const sent = s.name.empty()
                         ? PQsendQueryParams(conn_, std::string(s.sql).c_str(), count, nullptr, arrays.values.data(),
                                             arrays.lengths.data(), arrays.formats.data(), format)
                         : PQsendQueryPrepared(conn_, name.c_str(), count, arrays.values.data(), arrays.lengths.data(),
                                               arrays.formats.data(), format);
    if (sent == 0) co_return connection_error(what);
    commands.push_back({i, true});
  }
  if (PQpipelineSync(conn_) == 0) co_return connection_error(what);
  if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));

  std::vector<rows> answers;
  answers.reserve(statements.size());
  std::optional<error> first_error;
  for (auto const& command : commands) {
    for (;;) {
      auto next = co_await next_result();
      if (!next) co_return fail(std::move(next));
      if (next.value() == nullptr) break;
      auto const status = PQresultStatus(next.value());
      rows owned(next.value());
      if (is_error(status)) {
        if (!first_error) {
          first_error = error_of(next.value(), what);
          if (failed_at != nullptr) *failed_at = command.statement;
        }
      } else if (command.yields) {
        answers.push_back(std::move(owned));
      }
      if (PQstatus(conn_) == CONNECTION_BAD) co_return connection_error(what);
    }
  }
  auto sync = co_await next_result();
  if (!sync) co_return fail(std::move(sync));
  rows const owned(sync.value());
  if (PQexitPipelineMode(conn_) == 0) co_return connection_error(what);
  if (first_error) co_return std::move(*first_error);
  co_return std::move(answers);
}

asio::awaitable<result<void>> connection::enter_copy(std::string sql, std::string_view what, int wanted_status) {
  if (PQsendQuery(conn_, sql.c_str()) == 0) co_return connection_error(what);
  if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  auto first = co_await next_result();
  if (!first) co_return fail(std::move(first));
  if (first.value() == nullptr) co_return connection_error(what);
  auto const status = PQresultStatus(first.value());
  rows const owned(first.value());
  if (status == wanted_status) co_return result<void>();
  std::optional<error> failure;
  if (is_error(status)) failure = error_of(first.value(), what);
  auto rest = co_await collect(what);
  if (failure) co_return std::move(*failure);
  if (!rest) co_return fail(std::move(rest));
  co_return error{severity::bug, "postgres.no_copy", fmt::format("{}: the server did not begin the COPY", what)};
}

asio::awaitable<result<void>> connection::begin_copy_in(std::string sql, std::string_view what) {
  return enter_copy(std::move(sql), what, PGRES_COPY_IN);
}

asio::awaitable<result<void>> connection::put_copy(std::string_view bytes) {
  // Small enough pieces that libpq's output buffer stays small.
  constexpr std::size_t piece = 256 * 1024;
  while (!bytes.empty()) {
    auto const now = bytes.substr(0, piece);
    int const queued = PQputCopyData(conn_, now.data(), static_cast<int>(now.size()));
    if (queued < 0) co_return connection_error("sending rows");
    if (queued == 1) bytes.remove_prefix(now.size());
    if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  }
  co_return result<void>();
}

asio::awaitable<result<std::uint64_t>> connection::end_copy_in(std::string_view what) {
  while (PQputCopyEnd(conn_, nullptr) == 0) {
    if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  }
  if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  auto outcome = co_await collect(what);
  if (!outcome) co_return fail(std::move(outcome));
  co_return outcome->affected();
}

asio::awaitable<result<void>> connection::begin_copy_out(std::string sql, std::string_view what) {
  bool const both = sql.starts_with("START_REPLICATION");
  return enter_copy(std::move(sql), what, both ? PGRES_COPY_BOTH : PGRES_COPY_OUT);
}

result<connection::got> connection::next_copy(std::string_view& out) {
  if (copy_row_ != nullptr) {
    PQfreemem(copy_row_);
    copy_row_ = nullptr;
  }
  int const size = PQgetCopyData(conn_, &copy_row_, 1);
  if (size > 0) {
    out = {copy_row_, static_cast<std::size_t>(size)};
    return got::row;
  }
  if (size == 0) return got::nothing_yet;
  if (size == -1) return got::end;
  return connection_error("reading rows");
}

asio::awaitable<result<void>> connection::end_copy_out(std::string_view what) {
  // After COPY BOTH the server has ended its side; ours ends here.
  if (PQputCopyEnd(conn_, nullptr) == 1) {
    if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
  }
  auto outcome = co_await collect(what);
  if (!outcome) co_return fail(std::move(outcome));
  co_return result<void>();
}

void connection::limit_receive_buffer(std::uint32_t bytes) {
  int const size = static_cast<int>(bytes);
  ::setsockopt(PQsocket(conn_), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

void connection::wake_at(std::uint32_t low_water) {
  int const least = low_water == 0 ? 1 : static_cast<int>(low_water);
  ::setsockopt(PQsocket(conn_), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}

std::size_t connection::readable_bytes() const {
  int bytes = 0;
  return ::ioctl(PQsocket(conn_), FIONREAD, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::chrono::microseconds connection::round_trip() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(PQsocket(conn_), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return std::chrono::microseconds(info.tcpi_rtt);
}

asio::awaitable<result<void>> connection::put_message(std::string_view bytes) {
  for (;;) {
    int const queued = PQputCopyData(conn_, bytes.data(), static_cast<int>(bytes.size()));
    if (queued < 0) co_return connection_error("sending to the server");
    if (auto sent = co_await flush(); !sent) co_return fail(std::move(sent));
    if (queued == 1) co_return result<void>();
  }
}

}  // namespace etl::pg
