// Questions with known answers, one JSON object per line. docs/evaluation.md lists the fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/pixel_rect.h"
#include "core/spec/evaluation_task.h"

namespace gwq {

struct DatasetLimits {
  size_t max_bytes = size_t{64} << 20;  // of the file
  size_t max_line_bytes = size_t{1} << 20;
  size_t max_lines = 100'000;
  size_t max_choices = 64;   // of a line
  size_t max_images = 16;    // of a line
  size_t max_answers = 100;  // of a line
};

// A line. What a kind of evaluation needs of it, CheckItem tells.
struct DatasetItem {
  int64_t line = 0;                  // counted from 1
  std::string context;               // "context" or "question"
  std::vector<std::string> images;   // "image" or "images": paths in the dataset
  std::vector<std::string> choices;  // "choices"
  int64_t answer = -1;               // "answer" as an index of choices
  std::vector<std::string> answers;  // "answer" as a text, or "answers": each of them is right
  std::optional<PixelRect> box;      // "box": [left, top, right, bottom] in pixels of the image
};

// Empty lines are skipped, keys that are not known are ignored. INVALID_ARGUMENT at the field "line N" or "line N.key"
// for the first line that is no JSON object, has a value of the wrong type or out of range, or exceeds a limit.
[[nodiscard]] absl::StatusOr<std::vector<DatasetItem>> ParseDataset(std::string_view text,
                                                                    const DatasetLimits& limits = {});

// INVALID_ARGUMENT at "line N.key" for what an evaluation of this kind misses, or would silently leave out: an image
// beside choices.
[[nodiscard]] absl::Status CheckItem(const DatasetItem& item, EvaluationKind kind);

// Whether it is fit for what it seems made for: grounding where it has a box; choices where it has any and no image, or
// if none of its answers is among them; vqa else, and where it has answers beside a box. INVALID_ARGUMENT as
// CheckItem.
[[nodiscard]] absl::Status CheckComplete(const DatasetItem& item);

}  // namespace gwq
