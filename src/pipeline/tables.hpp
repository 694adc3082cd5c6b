#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/relation.hpp"
#include "pipeline/batch_builder.hpp"
#include "pipeline/catalog.hpp"
#include "pipeline/copy_progress.hpp"
#include "pipeline/schema_change.hpp"
#include "replication/snapshot.hpp"
#include "replication/visibility.hpp"

namespace etl::pipeline {

// The heaps of a table with their file nodes, as a known schema keeps them.
[[nodiscard]] inline std::vector<std::pair<std::uint32_t, std::uint32_t>> heaps_of(catalog::table const& table) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> heaps;
  for (auto const& part : table.parts) heaps.emplace_back(part.oid, part.filenode);
  return heaps;
}

// Everything that the home core knows of one replicated table.
struct replicated_table {
  catalog::table facts;    // what the copier reads by
  catalog::table latest;   // as the catalog had it last
  copy_progress progress;  // of the copy
  known_schema schema;     // what the destination's table was made for last

  // The schema that the stream's rows have now, and where they go. Nothing until the first Relation message. It is
  // `schema`, or an older one while the stream repeats what the destination has.
  std::optional<batch_builder::target> target;

  bool stopped = false;  // after an error: its rows are dropped until the next start
  bool gone = false;     // dropped at the source, or no longer published
  // What of the transactions below schema.copied_from is left to the copy.
  std::optional<replication::snapshot> left_to_copy;
  unsigned open_chunks = 0;  // while above zero, the reconciler is told of every key
  // For a table that is copied whole: which transactions the copy has seen already.
  std::optional<replication::visibility> seen_by_copy;

  [[nodiscard]] bool copying() const {
    return progress.state == copy_state::running || progress.state == copy_state::pending;
  }
  [[nodiscard]] bool leaves_to_copy(lsn commit, std::uint32_t xid) const {
    return commit < schema.copied_from && left_to_copy && left_to_copy->sees(xid);
  }
  [[nodiscard]] bool partitioned() const {
    return facts.parts.empty() || facts.parts.front().oid != facts.relation->oid;
  }
  [[nodiscard]] std::string name() const { return schema.relation->quoted_name(); }
};

// What the catalog was found to say of a table: to be acted on where the stream has passed `high`. By then every row of
// an older schema has come by, and no row of a newer one without its own message.
struct seen_change {
  std::uint32_t oid = 0;
  std::optional<catalog::table> facts;  // nothing: dropped, or no longer published
  lsn high{};
  model::relation_ptr known;  // the schema that it differs from; another by now: it was overtaken
};

// The replicated tables by relation OID. Small, looked up once a row: the last answer is remembered.
class table_registry {
 public:
  replicated_table& add(catalog::table facts) {
    auto const oid = facts.relation->oid;
    auto& slot = tables_[oid];
    if (slot) {
      *slot = {};  // the copier holds on to it
    } else {
      slot = std::make_unique<replicated_table>();
    }
    slot->schema.relation = facts.relation;
    slot->latest = facts;
    slot->facts = std::move(facts);
    last_ = nullptr;
    return *slot;
  }
  // Null: not replicated.
  [[nodiscard]] replicated_table* find(std::uint32_t oid) {
    if (last_ != nullptr && last_oid_ == oid) return last_;
    auto const at = tables_.find(oid);
    if (at == tables_.end()) return nullptr;
    last_oid_ = oid;
    last_ = at->second.get();
    return last_;
  }
  template <class Visitor>
  void each(Visitor&& visit) {
    for (auto& [oid, table] : tables_) visit(*table);
  }
  [[nodiscard]] std::size_t size() const { return tables_.size(); }

 private:
  boost::unordered_flat_map<std::uint32_t, std::unique_ptr<replicated_table>> tables_;
  std::uint32_t last_oid_ = 0;
  replicated_table* last_ = nullptr;
};

}  // namespace etl::pipeline
