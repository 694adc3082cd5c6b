#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>
#include <string>

#include "pg/connection.hpp"

namespace etl::pg {
namespace {

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) {
  for (auto const entry : list)
    if (text == entry) return true;
  return false;
}

severity severity_of(std::string_view sqlstate) {
  auto const group = sqlstate.substr(0, 2);
  // The network, a server that stops or is full, a conflict with another session: all pass.
  if (one_of(group, {"08", "53", "57", "58", "40", "XX"})) return severity::retry;
  if (one_of(sqlstate, {"55006", "55P03", "55000"})) return severity::retry;  // in use, not yet ready
  if (one_of(group, {"22", "23", "44"})) return severity::data;
  return severity::config;
}

// Primary messages of these classes quote values ("invalid input syntax for type integer: …").
bool may_quote_values(std::string_view sqlstate) { return one_of(sqlstate.substr(0, 2), {"22", "23", "44", "P0"}); }

}  // namespace

error server_error(std::string_view sqlstate, std::string_view primary, std::string_view detail,
                   std::string_view what) {
  error failure;
  failure.kind = sqlstate.empty() ? severity::retry : severity_of(sqlstate);
  failure.code = "postgres.error";
  failure.sqlstate = sqlstate;
  failure.message = may_quote_values(sqlstate)
                        ? fmt::format("{} failed: the server refused a value", what)
                        : fmt::format("{} failed: {}", what, primary.empty() ? "no answer from the server" : primary);
  failure.server_text = primary;
  if (!detail.empty()) failure.server_text += fmt::format(" ({})", detail);
  return failure;
}

std::string without_secrets(std::string_view url) {
  std::string const text(url);
  PQconninfoOption* const parsed = PQconninfoParse(text.c_str(), nullptr);
  if (parsed == nullptr) return "(unreadable connection string)";
  std::string shown;
  for (auto const* option = parsed; option->keyword != nullptr; ++option) {
    if (option->val == nullptr || !one_of(option->keyword, {"host", "hostaddr", "port", "dbname", "user", "service"}))
      continue;
    if (!shown.empty()) shown += ' ';
    shown += fmt::format("{}={}", option->keyword, option->val);
  }
  PQconninfoFree(parsed);
  return shown;
}

}  // namespace etl::pg
