#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/lsn.hpp"
#include "model/relation.hpp"
#include "pgoutput/message.hpp"

// What a table's schema is at one place of the stream, and how it got there from the one before. Pure data.
//
// Three sources tell of it, none of them all: the Relation message is right for the rows behind it, but knows neither
// attribute numbers nor what older rows hold; the catalog knows both, but may be many changes ahead; and the known
// schema is what the destination's table has.
namespace etl::pipeline {

// A schema as the destination has it, with the heaps that held the rows when it was looked up: kept with the rows.
struct known_schema {
  model::relation_ptr relation;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> heaps;  // OID and file node of each
  std::vector<std::string> former;                             // names that columns had which are gone or renamed
  // Where the table's copy began: transactions that were committed below `copied_from` and visible to the snapshot (the
  // text of pg_current_snapshot()) are left to the copy. They may be of schemas that nobody knows.
  lsn copied_from{};
  std::string copied_snapshot;
  bool gone = false;  // dropped at the source, or no longer published

  [[nodiscard]] std::string to_document() const;
  [[nodiscard]] static std::optional<known_schema> parse(std::string_view document);
  // "schema/16385"
  [[nodiscard]] static std::string key(std::uint32_t relation_oid);
};

// Whether a message says what is known: names, types, identity and the columns that are flagged as key.
[[nodiscard]] bool matches(model::relation const& known, pgoutput::relation const& message);
// Whether rows of one can be taken for rows of the other: names, numbers, types, key, identity.
[[nodiscard]] bool same_schema(model::relation const& a, model::relation const& b);

struct next_schema {
  model::relation relation;
  // Every column's number is sure. Where it is not, values may be under another's name: the rows have to be read again.
  bool certain = true;
  // The catalog has further changes, which rows or the next look at it will bring: what it says of the heaps is not of
  // this schema.
  bool ahead = false;
};
// The schema of a message's rows: its columns numbered by `known` and by the catalog's present view (null: the table is
// gone), with what the catalog says of them. Types that neither knows are still to be named.
[[nodiscard]] next_schema from_message(pgoutput::relation const& message, model::relation const& known,
                                       model::relation const* catalog);

// Whether rows that are older than the change may hold other values now, of which the stream said nothing: the table's
// heap was written anew (other file nodes) by a change of its columns.
[[nodiscard]] bool rewritten(known_schema const& known, model::relation const& next,
                             std::vector<std::pair<std::uint32_t, std::uint32_t>> const& heaps);
// Whether a column of `next` that `known` has not is called as an earlier one was, whose values may still be about.
[[nodiscard]] bool reuses_name(known_schema const& known, model::relation const& next);
// Whether a column of `next` that `known` has not came with values for the rows that were there.
[[nodiscard]] bool fills(model::relation const& known, model::relation const& next);
// Whether a column has another name.
[[nodiscard]] bool renames(model::relation const& known, model::relation const& next);
// The names in known.former, and those that `next` gives up.
[[nodiscard]] std::vector<std::string> former_names(known_schema const& known, model::relation const& next);

}  // namespace etl::pipeline
