#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "destination/postgres/copy_format.hpp"
#include "destination/postgres/table_sql.hpp"
#include "model/relation.hpp"

namespace etl::destination::postgres {

// How much a table's rows are trusted to meet what the stream says.
enum class route : std::uint8_t {
  plain,    // new rows are new: they are copied straight in; a key that is there already fails
  merge,    // new rows may be there already
  replace,  // rows get in each other's way (values of another unique index that swap): remove all, then insert
};

// One table at the destination, in one schema version, as one session writes it.
struct target {
  target(model::relation_ptr relation, encoding rows, bool is_partitioned, std::vector<std::string> key_equals)
      : table(std::move(relation)),
        sql(*table, std::move(key_equals), is_partitioned),
        format(rows, *table),
        partitioned(is_partitioned) {}

  [[nodiscard]] route way() const {
    if (replacing) return route::replace;
    return merging > 0 ? route::merge : route::plain;
  }

  struct prepared {
    std::string name;
    std::string sql;
    std::vector<std::uint16_t> columns;  // of an update: those that it sets
    std::uint64_t generation = 0;        // of the applier's statements, when it was prepared; 0: never
  };

  model::relation_ptr table;
  table_sql sql;
  copy_format format;
  bool partitioned;     // system columns cannot be read back from such a table
  bool staged = false;  // the session has the staging table
  bool replacing = false;
  unsigned merging = 0;                                     // segments for which the route is at least `merge`
  std::map<std::string, prepared, std::less<>> statements;  // stable addresses

  // Rows of this attempt that were missing or already there, against what the stream said.
  std::uint64_t repaired = 0;
  std::uint64_t lost = 0;  // of these: partial updates of missing rows, which nothing can complete
  std::chrono::steady_clock::time_point silent_until{};
};

}  // namespace etl::destination::postgres
