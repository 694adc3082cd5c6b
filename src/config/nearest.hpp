#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace etl::config {

// What the author of `word` most likely meant: the candidate with the smallest edit distance (insert, remove, replace,
// swap of neighbours; the case of letters counts for nothing), the first of equals. Nothing when none is close.
// Borrowed from `candidates`.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view word,
                                                      std::span<std::string_view const> candidates);

}  // namespace etl::config
