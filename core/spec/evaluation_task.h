// What is to be measured on a model: one task of an evaluation job, or one line of a quantization's report.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/io/json.h"

namespace gwq {

// kText: perplexity on a text. kChoices: which of several continuations is the most likely. kVqa: a greedy answer to a
// question about images, compared with what is given. kGrounding: a box in the answer, compared at IoU 0.5.
enum class EvaluationKind { kText, kChoices, kVqa, kGrounding };

struct EvaluationTask {
  std::string name = {};  // what a table calls it, 1 to 63 of [a-z0-9._-]; empty: the kind
  EvaluationKind kind = EvaluationKind::kText;
  std::string dataset = {};     // digest of a dataset's manifest; kText may go without
  std::string text = {};        // kText: what is read; empty with no dataset: the text that ships
  int64_t tokens = 2048;        // kText: tokens of it that are used, 2 to 1,000,000
  int64_t window = 512;         // kText: tokens in a window, 2 to 8192
  int64_t limit = 0;            // of items, the first ones; 0: all
  std::string delimiter = " ";  // kChoices: stands between context and choice
  int64_t max_tokens = 32;      // kVqa, kGrounding: of an answer, 1 to 1024
  int threads = 2;              // 1 to 256; they do not change a result
  friend bool operator==(const EvaluationTask&, const EvaluationTask&) = default;

  [[nodiscard]] std::string_view title() const;
};

[[nodiscard]] std::string_view EvaluationKindName(EvaluationKind kind);  // "text", "choices", "vqa", "grounding"

// INVALID_ARGUMENT naming `path` + ".<field>", the value and the limit. A field of another kind that is not as it is by
// default is refused: it would silently be ignored.
[[nodiscard]] absl::Status CheckEvaluationTask(const EvaluationTask& task, std::string_view path);
// Every field.
[[nodiscard]] nlohmann::json EvaluationTaskJson(const EvaluationTask& task);
// Missing fields take their defaults; unknown fields and wrong types are refused by name. Checks the result.
[[nodiscard]] absl::StatusOr<EvaluationTask> ParseEvaluationTask(const nlohmann::json& json, std::string_view path);

}  // namespace gwq
