#include "destination/postgres/sequences.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace etl::destination::postgres {
namespace {

// The locks of so many sequences are held at once.
constexpr std::size_t at_once = 100;

std::string state_of(model::sequence const& one) {
  return fmt::format("{} {} {}", one.definition, one.last_value, one.is_called);
}

}  // namespace

asio::awaitable<result<void>> set_sequences(pg::connection& connection, std::vector<model::sequence> wanted,
                                            known_sequences& known) {
  std::vector<model::sequence const*> moved;
  for (auto const& one : wanted) {
    auto const at = known.find(one.quoted_name());
    if (at == known.end() || at->second != state_of(one)) moved.push_back(&one);
  }
  for (std::size_t first = 0; first < moved.size(); first += at_once) {
    auto const end = std::min(first + at_once, moved.size());
    std::vector<std::string> texts;
    for (auto i = first; i < end; ++i) {
      auto const& one = *moved[i];
      auto const name = one.quoted_name();
      // A name that is known has been made and had this definition before.
      if (auto const at = known.find(name); at == known.end() || !at->second.starts_with(one.definition + " ")) {
        auto there = co_await connection.query(
            "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1), "
            "(SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'S')",
            {one.schema, one.name}, "looking for a sequence at the destination");
        if (!there) co_return fail(std::move(there));
        if (there->integer(0, 0) == 0) {
          texts.push_back(fmt::format("CREATE SCHEMA IF NOT EXISTS {}", model::quote_identifier(one.schema)));
        }
        texts.push_back(
            fmt::format("{} SEQUENCE {} {}", there->integer(0, 1) == 0 ? "CREATE" : "ALTER", name, one.definition));
      }
      texts.push_back(fmt::format("SELECT pg_catalog.setval({}, {}, {})", model::quote_literal(name), one.last_value,
                                  one.is_called));
    }
    std::vector<pg::statement> statements;
    for (auto const& text : texts) statements.push_back({.sql = text, .name = {}, .parameters = {}});
    auto set = co_await connection.pipeline(statements, "setting sequences");
    if (!set) co_return fail(std::move(set));
    for (auto i = first; i < end; ++i) known[moved[i]->quoted_name()] = state_of(*moved[i]);
  }
  co_return result<void>();
}

}  // namespace etl::destination::postgres
