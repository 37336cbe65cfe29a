// The text that a report or an evaluation is measured on if none is given.
#pragma once

#include <string_view>

namespace gwq {

// What the report is measured on where the recipe gives no text: about 2500 tokens of plain
// English.
[[nodiscard]] std::string_view DefaultEvaluationText();

}  // namespace gwq
