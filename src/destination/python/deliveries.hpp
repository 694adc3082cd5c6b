#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/lsn.hpp"
#include "model/batch.hpp"

namespace etl::destination::python_module {

// What a module was given, and how much of it is durable by its own account. Two kinds of module: one that says a
// position for each table, and one that says one for everything.
class deliveries {
 public:
  // What the module said of a table when it was made to fit: its rows up to there are not delivered again.
  void found(std::uint32_t table, position durable);
  // Cuts off the rows that are there already. Returns whether any are left. Needs their origins.
  [[nodiscard]] bool cut(model::table_rows& rows) const;
  [[nodiscard]] bool wanted(std::uint32_t table, position at) const { return at > durable_of(table); }

  struct part {
    std::uint32_t table;
    position last;
  };
  // A batch up to `last` was taken by the module.
  void accepted(position last, std::vector<part> parts);

  // What the module says is durable: of one table; of all up to a position; all that it has taken. A position that goes
  // back changes nothing.
  void durable(std::uint32_t table, position up_to);
  void durable(position up_to);
  void all_durable() { durable(accepted_); }

  // Everything at or below is durable.
  [[nodiscard]] position complete() const { return complete_; }
  [[nodiscard]] position accepted() const { return accepted_; }
  // The furthest of found().
  [[nodiscard]] position furthest() const { return furthest_; }

 private:
  struct batch {
    position last;
    std::vector<part> parts;
  };
  [[nodiscard]] position durable_of(std::uint32_t table) const;
  void advance();

  std::map<std::uint32_t, position> durable_;
  std::deque<batch> pending_;
  position accepted_{};
  position complete_{};
  position furthest_{};
};

}  // namespace etl::destination::python_module
