// Questions with known answers, and what only a calibration reads, one JSON object per line. docs/evaluation.md lists
// the fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/pixel_rect.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/recipe.h"

namespace gwq {

struct DatasetLimits {
  size_t max_bytes = size_t{64} << 20;  // of the file
  size_t max_line_bytes = size_t{1} << 20;
  size_t max_lines = 100'000;
  size_t max_choices = 64;      // of a line
  size_t max_images = 16;       // of a line
  size_t max_answers = 100;     // of a line
  size_t max_messages = 1000;   // of a line
  size_t max_token_ids = 8192;  // of a line
};

// A line: a question, or one of text, messages and token_ids, which stand alone. What a kind of evaluation needs of it,
// CheckItem tells.
struct DatasetItem {
  int64_t line = 0;                  // counted from 1
  std::string context;               // "context" or "question"
  std::vector<std::string> images;   // "image" or "images": paths in the dataset
  std::vector<std::string> choices;  // "choices"
  int64_t answer = -1;               // "answer" as an index of choices
  std::vector<std::string> answers;  // "answer" as a text, or "answers": each of them is right
  std::optional<PixelRect> box;      // "box": [left, top, right, bottom] in pixels of the image
  std::string text;                  // "text", not empty
  std::vector<ChatTurn> messages;    // "messages": [{"role", "content"}], at least one
  std::vector<int32_t> token_ids;    // "token_ids", at least two

  // The key that only a calibration reads; empty for a question.
  [[nodiscard]] std::string_view calibration_key() const;
};

// A line that is not empty, without its end.
struct DatasetLine {
  int64_t number = 0;  // counted from 1
  std::string_view text;
};

// The lines that are not empty; they point into `text`. INVALID_ARGUMENT at "dataset" if there is none or the file is
// too long, at "line N" for the first line over the limits.
[[nodiscard]] absl::StatusOr<std::vector<DatasetLine>> SplitDataset(std::string_view text,
                                                                    const DatasetLimits& limits = {});
// Keys that are not known are ignored. INVALID_ARGUMENT at the field "line N" or "line N.key" if it is no JSON object,
// has a value of the wrong type or out of range, two keys that exclude each other, or exceeds a limit.
[[nodiscard]] absl::StatusOr<DatasetItem> ParseDatasetLine(const DatasetLine& line, const DatasetLimits& limits = {});
// Both, of all lines.
[[nodiscard]] absl::StatusOr<std::vector<DatasetItem>> ParseDataset(std::string_view text,
                                                                    const DatasetLimits& limits = {});

// INVALID_ARGUMENT at "line N.key" for what an evaluation of this kind misses, or would silently leave out: an image
// beside choices; and for a line that only a calibration reads.
[[nodiscard]] absl::Status CheckItem(const DatasetItem& item, EvaluationKind kind);

// Whether it is fit for what it seems made for: a calibration where it has a key of its own; grounding where it has a
// box; choices where it has any and no image, or if none of its answers is among them; vqa else, and where it has
// answers beside a box. INVALID_ARGUMENT as CheckItem.
[[nodiscard]] absl::Status CheckComplete(const DatasetItem& item);

}  // namespace gwq
