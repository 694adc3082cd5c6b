#pragma once

#include <xxhash.h>

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "destination/postgres/tuple.hpp"
#include "model/batch.hpp"

namespace etl::destination::postgres {

// What a run of rows of one table comes to: at most one change for each key, and in an order that never trips over
// itself: first what goes, then what changes, then what is new, at last the rows that change their key.
// Views borrow from the rows and from the planner's arena.
struct net_changes {
  // Rows whose new version lacks the values of the same columns.
  struct partial_group {
    std::string unchanged;  // one character a column, '1' where the value is unchanged
    std::vector<std::string_view> rows;
  };
  struct rekeyed_row {
    std::string_view old_key;
    std::string_view row;
    std::string unchanged;  // as above
  };

  std::vector<std::string_view> removed;   // keys, as key_reader spells them
  std::vector<std::string_view> vanished;  // keys added and removed again; the table should never have had them
  std::vector<std::string_view> changed;   // whole rows; the stream says that these keys exist
  std::vector<partial_group> partial;      // and these
  std::vector<std::string_view> added;     // whole rows; the stream says that these keys are new
  std::vector<rekeyed_row> rekeyed;        // after all others, in this order
  // Partial updates of rows that the same run had removed. PostgreSQL never sends that.
  std::uint64_t contradictions = 0;

  // Changes to rows that are there already.
  [[nodiscard]] std::size_t rest() const;
  void clear();
};

// Collapses the rows of one segment to their net effect for each key. No input or output: tests drive it with rows.
// One pass, no allocation for a row once its tables have grown.
class planner {
 public:
  // The segment's rows and `memory` must outlive the use of everything that next() yields. The table needs a key.
  void start(model::table_rows const& segment, arena& memory);
  // The next run of rows that may be applied as a set. False at the end.
  [[nodiscard]] bool next(net_changes& out);
  // The whole segment of a table without a key: the rows to remove, each once for every time, and then those to add.
  // A row that is removed again is in neither.
  void by_value(model::table_rows const& segment, net_changes& out);

 private:
  enum class state : std::uint8_t { removed, vanished, changed, partial, added };
  struct entry {
    std::string_view key;
    std::string_view row;
    state now;
  };
  struct hash {
    using is_avalanching = void;
    std::size_t operator()(std::string_view key) const { return XXH3_64bits(key.data(), key.size()); }
  };

  void put(std::string_view key, std::string_view tuple, model::row const& row, net_changes& out);
  [[nodiscard]] std::string_view merge(std::string_view newer, std::string_view older);
  void mark_unchanged(std::string_view tuple);

  model::table_rows const* segment_ = nullptr;
  arena* memory_ = nullptr;
  key_reader keys_{model::relation{}};
  std::size_t row_ = 0;
  std::size_t offset_ = 0;
  std::string marks_;  // of the last mark_unchanged(): as net_changes::partial_group::unchanged
  std::vector<entry> entries_;
  boost::unordered_flat_map<std::string_view, std::uint32_t, hash> index_;
};

}  // namespace etl::destination::postgres
