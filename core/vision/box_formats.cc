#include "core/vision/box_formats.h"

#include <fmt/format.h>

#include <algorithm>

namespace gwq {

std::optional<std::string> WrongCorners(const Corners& at, double width, double height, std::string_view frame) {
  for (size_t i = 0; i < at.size(); ++i) {
    const double side = i % 2 == 0 ? width : height;
    if (at[i] >= 0 && at[i] <= side) continue;
    return fmt::format("{} is outside {}: values of {} are in [0, {}]", at[i], frame, i % 2 == 0 ? "x" : "y", side);
  }
  if (at[0] >= at[2] || at[1] >= at[3]) {
    return fmt::format("({}, {}) to ({}, {}) has no area", at[0], at[1], at[2], at[3]);
  }
  return std::nullopt;
}

std::string_view TrimBlanks(std::string_view text) {
  const size_t first = std::min(text.find_first_not_of(" \n\t"), text.size());
  return text.substr(first, text.find_last_not_of(" \n\t") + 1 - first);
}

}  // namespace gwq
