// Tensors of a file that the model's family does not use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/progress.h"

namespace gwq {

// One line for each of the first names and one that counts the rest: a file may hold thousands of unused tensors.
void LogUnusedTensors(const std::vector<std::string>& names, std::string_view architecture,
                      std::string_view what_happens, Progress& progress);

}  // namespace gwq
