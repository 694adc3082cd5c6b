#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "base/lsn.hpp"
#include "encode/unrepresentable.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"
#include "pgoutput/message.hpp"

namespace etl::encode {

struct ndjson_options {
  std::string position_name = "_etl_position";
  std::string operation_name = "_etl_operation";
  std::string commit_time_name = "_etl_commit_time";
  std::string old_key_name = "_etl_old_key";
  unrepresentable_policies on_unrepresentable;

  // For destinations that load the lines into typed columns. Empty: not written. Else a row that leaves columns out
  // because they are unchanged lists them in a text under this name, as listed_name() writes each.
  std::string unchanged_name;
  bool numeric_as_text = false;  // numeric in quotes, so that no reader takes it for a double
  bool bare_hex = false;         // bytea without its \x
  // Values that only PostgreSQL's types hold are unrepresentable, and not as texts either: NaN in a numeric(p,s), dates
  // and timestamps that are infinite, before Christ or beyond the year 9999, the time 24:00:00.
  bool typed = false;
};

// A column's name between two commas, to be looked for in the text under ndjson_options::unchanged_name: ",note,".
// Commas and percent signs of the name are written as %2C and %25.
[[nodiscard]] std::string listed_name(std::string_view column);

// Rows of one table as JSON objects, one a line:
//
//   {"_etl_position":"<32 hex>","_etl_operation":"insert","_etl_commit_time":"2026-01-02T03:04:05.123456Z","id":1,…}
//
// Integers, floats and numerics are written with the very digits that PostgreSQL sent; json and jsonb are embedded as
// they are, on one line; booleans are true and false; everything else is a string of the type's text. Values that were
// not sent (unchanged TOAST) are left out, and listed behind the columns where the options ask for it. A remove has the
// columns of the key alone, or the whole old row where there is no key; a rekey has its old key as an object in
// "_etl_old_key"; a copied row's commit time is null.
//
// Prepared once for a relation. Not thread-safe: every core that encodes has its own.
class ndjson_encoder {
 public:
  ndjson_encoder(model::relation_ptr table, ndjson_options const& options);

  // Appends one row, whose values have to be in text format. `commit_time` is in microseconds since 2000-01-01 UTC.
  // Errors, after which `out` is as it was: data.encoding (a text is not UTF-8, as can be in SQL_ASCII databases),
  // data.unrepresentable, data.beyond_range, data.too_large (4 GiB), data.no_key; severity `bug` for a row that does
  // not fit the relation.
  [[nodiscard]] result<void> encode(buffer& out, model::operation kind, position at, std::int64_t commit_time,
                                    pgoutput::tuple old_values, pgoutput::tuple new_row);

  // Where in every line the position's text starts.
  [[nodiscard]] std::size_t position_offset() const { return position_offset_; }
  // Gives a line of any such encoder another position.
  static void patch_position(char* line, position at);

 private:
  enum class shape : std::uint8_t { boolean, number, numeric, json, hex, time, text };
  struct step {
    std::uint32_t prefix;       // where in prefixes_ the bytes ,"name": begin; padded to whole blocks
    std::uint32_t prefix_size;  // without the padding
    std::uint16_t column;
    shape as;
    unrepresentable policy;
  };
  // The first value of a row that cannot be written.
  struct problem {
    enum class reason : std::uint8_t { none, encoding, unrepresentable, beyond_range, binary } why = reason::none;
    std::uint16_t column = 0;
  };

  [[nodiscard]] std::size_t most_for(std::vector<step> const& steps, pgoutput::tuple row) const;
  char* write_columns(char* out, std::vector<step> const& steps, pgoutput::tuple row, problem& found) const;
  char* write_value(char* out, step const& how, pgoutput::value const& v, problem& found) const;
  static char* write_number(char* out, step const& how, std::string_view digits, problem& found);
  // For a value that is written as null or not at all: true when that is so, and `out` is behind it.
  static bool write_instead(problem::reason why, char*& out, step const& how, problem& found);
  char* write_unchanged(char* out, pgoutput::tuple row) const;
  [[nodiscard]] bool beyond_range(step const& how, std::string_view text) const;
  void set_commit_time(std::int64_t commit_time);
  [[nodiscard]] error to_error(problem const& found) const;

  model::relation_ptr table_;
  bool typed_;
  std::string prefixes_;
  std::vector<step> columns_;
  std::vector<step> key_;             // in key order; all columns for a table without a key
  std::array<std::string, 5> heads_;  // of each operation: the line up to the commit time
  std::size_t position_offset_ = 0;
  std::string old_key_prefix_;
  std::string unchanged_prefix_;     // empty: unchanged columns are not listed
  std::vector<std::string> listed_;  // of each column: as listed_name(), escaped for JSON, without the first comma
  std::size_t most_unchanged_ = 0;
  std::int64_t commit_time_ = 0;
  std::array<char, 29> commit_time_text_;
  std::size_t commit_time_size_ = 0;
  bool names_are_valid_ = true;
};

}  // namespace etl::encode
