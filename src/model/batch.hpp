#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/buffer.hpp"
#include "base/lsn.hpp"
#include "model/relation.hpp"

namespace etl::model {

enum class operation : std::uint8_t {
  insert,
  update,  // the new row; unchanged TOAST values may be missing (row::partial)
  remove,  // the old key
  rekey,   // an UPDATE that changes the key AND leaves TOAST values unchanged: old key and new row in one. Every other
           // change of a key is a remove and an insert.
  copy,    // a row of a copy chunk: an upsert
};

// One encoded row inside table_rows::bytes; the bytes follow one another in the order of the rows.
struct row {
  std::uint32_t size = 0;
  operation kind = operation::insert;
  bool partial = false;  // holds unchanged values
};

// What a row's bytes may not say.
struct row_origin {
  position at{};
  std::int64_t commit_time = 0;  // microseconds since 2000-01-01 UTC; no_commit_time for rows of a copy chunk
};
inline constexpr std::int64_t no_commit_time = INT64_MIN;

// Rows of one table and one schema version, encoded as the destination asked for.
struct table_rows {
  relation_ptr table;
  buffer bytes;
  std::vector<row> rows;
  std::vector<row_origin> origins;  // of each row, where the destination wants them
  std::uint16_t lane = 0;           // below the destination's number of lanes; the same for all changes of one key
  bool only_new = true;             // every row is insert or copy
  bool copied = false;              // rows of a copy chunk, at most one version of each key
  bool copying = false;  // the table's copy goes on: the destination may lack rows that these change or remove
  position first{};
  position last{};
};

struct truncation {
  std::vector<relation_ptr> tables;
  bool cascade = false;
  bool restart_identity = false;
  position at{};
};

using step = std::variant<table_rows, truncation>;

// A small text that the destination keeps in the same transaction as the rows (where it can), so that what was copied
// is known exactly. An empty value removes the key.
struct document {
  std::string key;
  std::string value;
};

// What goes to a destination at once. Steps of one table (and lane) are in order; steps of different tables may be
// applied in any order, except where the destination asked for the order across tables.
struct batch {
  std::vector<step> steps;
  std::vector<document> documents;
  position last{};               // position of the last row (or commit) that the batch covers
  lsn end{};                     // end of the last transaction it completes; zero while it ends inside the first
  std::int64_t commit_time = 0;  // of that transaction, microseconds since 2000-01-01 UTC
  bool ends_transaction = true;  // false: the next batch goes on with the same source transaction
  std::size_t rows = 0;
  std::size_t bytes = 0;

  [[nodiscard]] bool empty() const { return steps.empty() && documents.empty(); }
};

}  // namespace etl::model
