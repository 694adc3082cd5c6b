// While the stream runs: types of the user's own that change under rows which are there already.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "pg/type_definitions.hpp"
#include "pipeline/session.hpp"

namespace etl::pipeline {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds between_checks{10};

// Labels that are new change no row; all that were there have to be there still, in their order.
bool only_added_to(std::vector<std::string> const& before, std::vector<std::string> const& now) {
  auto at = now.begin();
  return std::all_of(before.begin(), before.end(), [&](auto const& label) {
    at = std::find(at, now.end(), label);
    return at != now.end() && ++at != now.begin();
  });
}

// The first type whose values read otherwise than before; null: none. Types that are gone, or have another name, are
// the table's business: its columns change, and the stream says so.
model::type_definition const* changed_type(std::vector<model::type_definition> const& before,
                                           std::vector<model::type_definition> const& now) {
  for (auto const& type : before) {
    auto const found = std::find_if(now.begin(), now.end(), [&](auto const& one) { return one.name == type.name; });
    if (found == now.end()) continue;
    bool const same = type.kind == 'e' ? only_added_to(type.labels, found->labels) : found->create == type.create;
    if (!same) return &type;
  }
  return nullptr;
}

}  // namespace

// A renamed label, or an attribute added to a composite, changes every row that has one, and the stream does not say
// so: the table would be stale until somebody looked.
asio::awaitable<result<void>> session::watch_types() {
  auto next = clock::now() + between_checks;
  while (!core_->written_out) {
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now());
    if (left.count() > 0 || core_->stopping) {
      co_await core_->settled.wait_for(std::max(left, std::chrono::milliseconds(100)));
      continue;
    }
    if (auto checked = co_await check_types(); !checked) co_return checked;
    next = clock::now() + between_checks;
  }
  co_return result<void>();
}

asio::awaitable<result<void>> session::check_types() {
  std::vector<model::relation_ptr> known;
  core_->tables.each([&](replicated_table const& table) {
    auto const& relation = table.target ? table.target->table() : table.facts.relation;
    if (!table.stopped && !relation->types.empty()) known.push_back(relation);
  });
  if (known.empty()) co_return result<void>();
  std::vector<model::relation> now;
  std::vector<model::relation*> asked;
  for (auto const& relation : known) now.push_back(*relation);
  for (auto& relation : now) asked.push_back(&relation);
  {
    auto connection = co_await core_->metadata.take();
    if (!connection) co_return fail(std::move(connection));
    if (auto defined = co_await pg::define_types(**connection, asked); !defined) co_return defined;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    auto const* const type = changed_type(known[i]->types, now[i].types);
    auto* const table = core_->tables.find(known[i]->oid);
    if (type == nullptr || table == nullptr || table->stopped) continue;
    error failure{severity::data, "source.type_changed",
                  fmt::format("{}: type {} has changed at the source, and with it rows that were replicated before",
                              known[i]->quoted_name(), type->name),
                  "The next start copies the table afresh; a PostgreSQL destination needs the same ALTER TYPE before."};
    failure.table = known[i]->oid;
    core_->stop_table(*table, failure);
  }
  co_return result<void>();
}

}  // namespace etl::pipeline
