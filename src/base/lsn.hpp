#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace etl {

// A byte position in a PostgreSQL cluster's WAL (PostgreSQL manual, "pg_lsn Type"). Zero means none.
struct lsn {
  std::uint64_t value = 0;

  friend constexpr auto operator<=>(lsn, lsn) = default;
  // PostgreSQL's own spelling, "16/B374D848".
  [[nodiscard]] std::string to_text() const;
  // Nothing unless the whole text is hex, a slash, hex (8 digits each at most).
  [[nodiscard]] static std::optional<lsn> parse(std::string_view text);
};

// Where a row stands in the order of everything the pipeline emits: the commit LSN of its transaction (the final LSN
// that Begin carries), and its number in that transaction. Nothing else orders rows.
// Rows of copy chunks are emitted between transactions: they carry the LSN of the last transaction before them and an
// ordinal with the top bit set (see replication/chunk_ordinal).
struct position {
  lsn commit{};
  std::uint64_t ordinal = 0;

  static constexpr std::size_t text_size = 32;
  friend constexpr auto operator<=>(position const&, position const&) = default;
  // 16 + 16 upper-case hex digits: text order is numeric order.
  void write_text(char* out) const;
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static std::optional<position> parse(std::string_view text);
};

}  // namespace etl
