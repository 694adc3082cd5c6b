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
#include "replication/visibility.hpp"

namespace etl::pipeline {

// Everything that the home core knows of one replicated table.
struct replicated_table {
  catalog::table facts;    // as the catalog had it last; what the copier reads by
  copy_progress progress;  // of the copy

  // The schema that the stream's rows have now, and where its rows go. Nothing until the first Relation message.
  std::optional<batch_builder::target> target;

  bool stopped = false;      // after an error: its rows are dropped until the next start
  unsigned open_chunks = 0;  // while above zero, the reconciler is told of every key
  // For a table that is copied whole: which transactions the copy has seen already.
  std::optional<replication::visibility> seen_by_copy;

  [[nodiscard]] bool copying() const {
    return progress.state == copy_state::running || progress.state == copy_state::pending;
  }
  [[nodiscard]] bool partitioned() const {
    return facts.parts.empty() || facts.parts.front().oid != facts.relation->oid;
  }
  [[nodiscard]] std::string name() const { return facts.relation->quoted_name(); }
};

// The replicated tables by relation OID. Small, looked up once a row: the last answer is remembered.
class table_registry {
 public:
  replicated_table& add(catalog::table facts) {
    auto const oid = facts.relation->oid;
    auto& slot = tables_[oid];
    slot = std::make_unique<replicated_table>();
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
