// How each kind of evaluation is measured. Internal to core/evaluation.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "core/artifact/stored_model.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/evaluation/evaluation.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct EvaluationRun {
  BlobStore& store;
  const StoredModel& model;
  const StoredModel* reference;  // null: none
  const EvaluationTask& task;
  Backend& backend;  // runs both models
  Progress& progress;
};

// Each fills items, truncated, metrics and items_jsonl.
[[nodiscard]] absl::Status MeasureText(EvaluationRun& run, EvaluationResult& out);
[[nodiscard]] absl::Status MeasureChoices(EvaluationRun& run, EvaluationResult& out);
// kVqa and kGrounding.
[[nodiscard]] absl::Status MeasureImages(EvaluationRun& run, EvaluationResult& out);

// The mean, with its standard error if there are two values or more and the mean is finite: sample deviation / sqrt(n),
// as lm-evaluation-harness takes it.
[[nodiscard]] EvaluationMetric MeanMetric(std::string name, const std::vector<double>& values);

}  // namespace gwq
