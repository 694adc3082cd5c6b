#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/relation.hpp"

namespace etl::destination::postgres {

// The first column of a staging table: what is to be done with the row. Groups of partial updates count up from
// `partial`.
struct staged {
  static constexpr std::int16_t removed = 0;
  static constexpr std::int16_t added = 1;
  static constexpr std::int16_t changed = 2;
  static constexpr std::int16_t partial = 3;
};

// The SQL that applies rows to one table. Pure text. `unchanged` marks columns as net_changes::partial_group does.
//
// The staging table is a temporary table with the columns c0 (see `staged`) and c1, c2, … for the relation's columns,
// so that no name can collide. That of a table without a key holds rows to remove and has no c0.
class table_sql {
 public:
  // `key_equals` are the operators by which the key's index finds its columns; empty: plain `=`. Tables that inherit
  // from another are tables of their own, the partitions of a partitioned one are not.
  explicit table_sql(model::relation const& table, std::vector<std::string> key_equals = {}, bool partitioned = false);

  [[nodiscard]] std::string const& name() const { return name_; }

  // The columns that an update SETs: those that are there, without the key where equal keys are identical anyway, or
  // with it for a row that changes its key.
  [[nodiscard]] std::vector<std::uint16_t> columns_to_set(std::string_view unchanged, bool with_key) const;

  // Statements for one row. Parameters: all columns; for remove() the key; for update() `set`, then the old key.
  [[nodiscard]] std::string insert() const;
  // One row for each row written: whether it was new to the table.
  [[nodiscard]] std::string upsert() const;
  [[nodiscard]] std::string remove() const;
  // Removes the row with a new key, if there is another one with the old key to take its place. Parameters: new key,
  // old key.
  [[nodiscard]] std::string make_way() const;
  [[nodiscard]] std::string update(std::vector<std::uint16_t> const& set) const;

  [[nodiscard]] std::string copy(bool binary) const;

  // A table has room for 1,600 columns, a staging table for one less of the relation's.
  [[nodiscard]] bool can_stage() const { return key_.empty() || columns_.size() < 1600; }
  [[nodiscard]] std::string create_stage() const;
  [[nodiscard]] std::string drop_stage() const;
  [[nodiscard]] std::string empty_stage() const;
  [[nodiscard]] std::string copy_to_stage(bool binary) const;
  // Sets the columns that are not unchanged, for staged rows of `kind`. Affects as many rows as the table had.
  [[nodiscard]] std::string update_from_stage(std::int16_t kind, std::string_view unchanged = {}) const;
  [[nodiscard]] std::string insert_from_stage(std::int16_t kind) const;
  // The same, leaving out rows whose key is there.
  [[nodiscard]] std::string insert_missing_from_stage(std::int16_t kind) const;
  [[nodiscard]] std::string remove_staged(std::int16_t kind) const;
  // For a table without a key: removes one row for each staged row, of the same text: types may have no equality, or
  // one that takes different values to be equal.
  [[nodiscard]] std::string remove_staged_by_value() const;
  // For a table whose rows have to be out of each other's way: fetch what partial rows lack (which makes them
  // staged::changed), remove every staged key, insert what is not removed.
  [[nodiscard]] std::string complete_staged(std::int16_t kind, std::string_view unchanged) const;
  [[nodiscard]] std::string remove_all_staged() const;
  [[nodiscard]] std::string insert_all_staged() const;

 private:
  [[nodiscard]] std::string insert_into() const;
  [[nodiscard]] std::string stage_columns() const;
  [[nodiscard]] std::string same_key() const;
  [[nodiscard]] std::string key_is(std::size_t first_parameter) const;

  std::string name_;
  std::string rows_;  // the name as it stands for the table's own rows
  std::string stage_;
  std::vector<std::string> columns_;      // quoted
  std::vector<std::string> stage_types_;  // a domain's base type, else empty: NULL must be allowed there
  std::vector<std::uint16_t> key_;
  std::vector<std::string> key_equals_;
  std::vector<model::column> key_columns_;
  bool key_has_spellings_ = false;  // 1.0 and 1.00 are one key, so writing a row also writes its key
};

}  // namespace etl::destination::postgres
