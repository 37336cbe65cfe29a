// Patterns on module names.
#pragma once

#include <string_view>

namespace gwq {

// True if `pattern` matches all of `text`: '*' stands for any text (dots included), '?' for one character,
// everything else for itself. Linear in memory, at most |pattern| * |text| steps.
[[nodiscard]] bool GlobMatches(std::string_view pattern, std::string_view text);

}  // namespace gwq
