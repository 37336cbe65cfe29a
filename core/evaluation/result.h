// What an evaluation measured, and how it is stored and shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/evaluation/text_walk.h"
#include "core/spec/evaluation_task.h"
#include "core/storage/blob_store.h"

namespace gwq {

// docs/evaluation.md says what each name means.
struct EvaluationMetric {
  std::string name;                      // "perplexity", "acc", "acc_norm", "mean_kl", ...
  double value = 0;                      // may be infinite: a perplexity beyond a double, or a banned token
  std::optional<double> standard_error;  // none if the value is not finite
};

// A question that model and reference answered differently. Texts are cut to kMaxExampleBytes.
struct ChangedAnswer {
  int64_t line = 0;  // of the dataset's file, from 1
  std::string question;
  std::string reference_answer;
  std::string answer;
};
inline constexpr size_t kMaxChangedAnswers = 8;  // of an evaluation, the first ones
inline constexpr size_t kMaxExampleBytes = 512;

struct EvaluationResult {
  EvaluationTask task;
  Digest model;                     // manifest of what was measured
  std::optional<Digest> reference;  // manifest of what it was compared with
  std::string architecture;
  int64_t items = 0;      // questions, or predicted tokens of a text
  int64_t truncated = 0;  // questions whose beginning did not fit the model's context
  std::vector<EvaluationMetric> metrics;
  std::string items_jsonl;  // one line per question; empty for a text
  // Against a reference, for a report; not stored with the evaluation.
  std::vector<KlAtPositions> kl_by_position;   // of a text
  std::vector<ChangedAnswer> changed_answers;  // where answers are generated

  // Null if the task does not give it.
  [[nodiscard]] const EvaluationMetric* Find(std::string_view name) const;
};

// Stores the result as a manifest of kind "evaluation" with the files evaluation.json and, for questions, items.jsonl.
[[nodiscard]] absl::StatusOr<Digest> StoreEvaluation(BlobStore& store, const EvaluationResult& result);

// Canonical JSON without the items; docs/evaluation.md lists the fields. A value that is not finite is a text
// (core/io/json_number.h).
[[nodiscard]] std::string EvaluationJson(const EvaluationResult& result);
[[nodiscard]] std::string EvaluationMarkdown(const EvaluationResult& result);

}  // namespace gwq
