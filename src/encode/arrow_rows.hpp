#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "encode/arrow_batch.hpp"
#include "encode/unrepresentable.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"

namespace etl::encode {

struct arrow_options {
  std::string operation_name = "_etl_operation";
  std::string position_name = "_etl_position";
  std::string commit_time_name = "_etl_commit_time";
  std::string old_key_name = "_etl_old_key";
  std::string unchanged_name = "_etl_unchanged";
  infinities infinite = infinities::refused;
  unrepresentable_policies on_unrepresentable;
};

// Rows of one table, in the layout of encode/copy_rows.hpp around values in text format, as Arrow record batches. First
// come five columns that say what each row is, then the table's columns in their order:
//
//   _etl_operation    large_string        insert, update, remove, rekey or copy
//   _etl_position     large_string        32 hex digits; text order is the order of the rows
//   _etl_commit_time  timestamp[us, UTC]  null for copied rows
//   _etl_old_key      struct              of a rekey the key that the row had; null otherwise
//   _etl_unchanged    list<large_string>  names of columns whose values were not sent and are null here; null: none
//
// A remove has the columns of the key alone; all others are null. A table without a key has an old key without columns.
//
// Prepared once for a relation. Not thread-safe; belongs to one core.
class arrow_encoder {
 public:
  arrow_encoder(model::relation_ptr table, arrow_options options);

  // A record with the columns above.
  [[nodiscard]] std::shared_ptr<arrow_field const> const& schema() const { return schema_; }

  // `rows` must be of this relation and have their origins. Errors (data, of this table): data.unrepresentable,
  // data.encoding; severity `bug` where the bytes are no such rows.
  [[nodiscard]] result<std::shared_ptr<arrow_batch const>> encode(model::table_rows const& rows);

 private:
  struct value {
    std::string_view text;
    std::int32_t length;  // negative: copy_null, copy_unchanged
  };
  // The first value that has no form in its column.
  struct problem {
    unfit why = unfit::no;
    std::uint16_t column = 0;
  };

  // These say whether the bytes are of the form that they should be; what does not fit a column goes to `found`.
  bool add_row(arrow_column& rows, model::row const& row, std::string_view bytes, problem& found);
  bool add_columns(arrow_column& rows, bool key_only, std::string_view& bytes, problem& found);
  bool add_old_key(arrow_column& old_key, std::string_view& bytes, problem& found);
  bool split_tuple(std::string_view& bytes, std::size_t columns);

  void add(arrow_column& to, value const& from, std::uint16_t column, problem& found) const;
  void add_unchanged(arrow_column& unchanged) const;
  [[nodiscard]] error to_error(problem const& found) const;

  model::relation_ptr table_;
  arrow_options options_;
  std::shared_ptr<arrow_field const> schema_;
  std::vector<bool> null_instead_;          // of each column: for values that have no form in it
  std::vector<std::int32_t> place_in_key_;  // of each column; -1: not in the key
  std::vector<value> values_;               // of the tuple in hand
  bool names_are_valid_ = true;
};

}  // namespace etl::encode
