#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace etl::pipeline {

// How far the copy of one table is: kept as a small JSON document in the state store and, where the destination can,
// together with the rows. Pure data; the copier moves it on.
enum class copy_state : std::uint8_t {
  pending,  // not begun
  running,
  done,
  stopped,  // the table was given up after an error; the next start copies it afresh
};

// Ranges of heap blocks [first, end), merged and in order.
class block_ranges {
 public:
  void add(std::uint32_t first, std::uint32_t end);
  [[nodiscard]] bool covers(std::uint32_t first, std::uint32_t end) const;
  [[nodiscard]] std::uint64_t count() const;  // blocks
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::uint32_t>> const& list() const { return ranges_; }
  // What [0, blocks) lacks.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::uint32_t>> missing(std::uint32_t blocks) const;

 private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges_;
};

struct part_progress {
  std::uint32_t oid = 0;
  std::uint32_t filenode = 0;
  std::uint32_t blocks = 0;  // when the copy was planned; the last chunk reads on to the end
  block_ranges done;
};

struct copy_progress {
  std::string schema;
  std::string name;
  copy_state state = copy_state::pending;
  bool whole = false;  // read under one snapshot (no key): starts over when interrupted
  std::uint64_t rows = 0;
  std::vector<part_progress> parts;

  [[nodiscard]] std::string to_document() const;
  [[nodiscard]] static std::optional<copy_progress> parse(std::string_view document);
  // "table/16385"
  [[nodiscard]] static std::string key(std::uint32_t relation_oid);
};

}  // namespace etl::pipeline
