#include "core/artifact/unused_tensors.h"

#include <fmt/format.h>

#include <algorithm>

namespace gwq {

void LogUnusedTensors(const std::vector<std::string>& names, std::string_view architecture,
                      std::string_view what_happens, Progress& progress) {
  constexpr size_t kMaxLines = 20;
  for (size_t i = 0; i < std::min(names.size(), kMaxLines); ++i) {
    progress.Log(fmt::format("tensor {} has no use in {}: {}", names[i], architecture, what_happens));
  }
  if (names.size() > kMaxLines) progress.Log(fmt::format("and {} more", names.size() - kMaxLines));
}

}  // namespace gwq
