#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/lsn.hpp"

namespace etl {

// What the supervisor does about an error.
enum class severity : std::uint8_t {
  retry,   // passing: the network, a server that restarts; try again with backoff
  config,  // the user has to change something first: never retried, exit code 1 (2 when found while reading the file)
  data,    // one table's data cannot be carried as asked: that table stops, the others run on
  bug,     // an invariant of this program is broken: stop the pipeline, ask for a report
};

// An expected failure. `message` says what is wrong and where, in our own words; `hint` says what to do about it.
// `server_text` is what a server said: it may hold values of rows or statements, so logs leave it out unless they run
// at debug level on a terminal.
struct error {
  severity kind = severity::bug;
  std::string_view code;  // a literal such as "source.wal_level": stable, documented, never built at run time
  std::string message;
  std::string hint;
  std::string sqlstate;     // five characters, or empty
  lsn where{};              // WAL position the failure belongs to, or zero
  std::uint32_t table = 0;  // OID of the one relation that a `data` failure concerns, or zero
  std::string server_text;

  // One paragraph for a person: message, hint, SQLSTATE and LSN where there are any. Never server_text.
  [[nodiscard]] std::string to_text() const;
};

// Lets boost::system::result::value() throw; code that calls value() on a failure has a bug.
[[noreturn]] void throw_exception_from_error(error const& failure, boost::source_location const& where);

template <class T>
using result = boost::system::result<T, error>;

// For `if (!r) return fail(std::move(r));`: hands the error of one result on as that of another.
template <class T>
[[nodiscard]] error fail(result<T>&& failed) {
  return std::move(failed).error();
}

}  // namespace etl
