// The text that a report or an evaluation is measured on if none is given.
#pragma once

#include <string_view>

namespace gwq {

// About 2500 tokens of plain English.
[[nodiscard]] std::string_view DefaultEvaluationText();

}  // namespace gwq
