// What a quantization job found out, for people and for programs. docs/report.md lists the fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/sha256.h"
#include "core/evaluation/result.h"
#include "core/quant/pass_counts.h"
#include "core/quant/plan.h"
#include "core/spec/contract_check.h"
#include "core/spec/quality_contract.h"
#include "core/spec/recipe.h"

namespace gwq {

// One tensor that is stored in another form than it came in.
struct ReportModule {
  std::string tensor;
  ModelPart part = ModelPart::kLanguage;
  int stage = 0;
  Method method = Method::kKeep;
  PackedShape packed;
  uint64_t weights = 0;
  uint64_t stored_bytes = 0;
  double norm = 0, error = 0;  // |W|^2 and |W - W'|^2, Frobenius
  double relative_error = 0;   // |W - W'| / |W|
  // The same with every weight multiplied by its gradient; unset where there was none.
  std::optional<double> weighted_error;
  int64_t saturated = 0;  // scales and outliers past the range of FP16
  // Of the output of its block, before and after the block's matrices were learned together; unset where they were not.
  std::optional<double> block_loss_before, block_loss_after;
};

// A part of the model: language model, vision tower or projector.
struct ReportPart {
  ModelPart part = ModelPart::kLanguage;
  uint64_t weights = 0, bytes = 0;                      // of all its tensors
  uint64_t quantized_weights = 0, quantized_bytes = 0;  // of its packed matrices other than head and embedding
  int64_t outliers = 0;                                 // of those
  double norm = 0, error = 0;                           // of those, |W|^2 and |W - W'|^2
};

// One task on the model as it came, and on the artifact with the model as reference.
struct ReportEvaluation {
  std::vector<EvaluationMetric> before;
  EvaluationResult after;
};

// What the tuning of the whole model gained: its loss over some steps.
struct ReportTuning {
  int first_step = 0;     // from 1
  int steps = 0;          // that the mean is over
  double divergence = 0;  // mean KL(model, artifact) of their samples, before each step
};
// Points of a tuning that a report tells, at most.
inline constexpr int kTuningPoints = 64;

struct ReportPhase {
  std::string name;  // "sample", "calibrate", "pack", "evaluate NAME"
  double seconds = 0;
  uint64_t peak_memory_bytes = 0;  // of the process, resident, during the phase
};

struct Report {
  Digest source;
  Digest artifact;
  std::string architecture;
  Recipe recipe;
  uint64_t source_bytes = 0;                            // of all tensors as they came
  uint64_t quantized_weights = 0, quantized_bytes = 0;  // measured on what was stored
  uint64_t total_weights = 0, total_bytes = 0;
  std::vector<ReportPart> parts;  // those that the model has, in the order of ModelPart
  uint64_t planned_memory_bytes = 0;
  int64_t calibration_tokens = 0;  // 0 if no gradient was needed
  int64_t calibration_samples = 0;
  std::optional<double> calibration_loss;
  std::vector<std::string> calibration_warnings;  // what speaks against the samples (core/calibration/sample_check.h)
  std::optional<double> mask_jaccard;             // core/quant/job/mask_overlap.h
  PassCounts passes;
  std::vector<ReportTuning> tuning;   // empty: the model was not tuned as a whole
  std::vector<ReportModule> modules;  // in the model's order
  std::vector<ReportEvaluation> evaluations;
  QualityContract contract;
  std::vector<ContractMiss> misses;  // empty: it is met
  std::vector<ReportPhase> phases;
  std::string producer_json = {};  // what determines the bytes besides source and recipe
  std::string isa;                 // of the evaluation's kernels
  int threads = 0;

  [[nodiscard]] double matrix_bits_per_weight() const;
  [[nodiscard]] double model_bits_per_weight() const;
};

// "backward passes: 1", "backward passes: 0 (reused)", "backward passes: 1 (another reused)".
[[nodiscard]] std::string PassesText(const PassCounts& passes);
// Canonical JSON; numbers that are not finite become null.
[[nodiscard]] std::string ReportJson(const Report& report);
[[nodiscard]] std::string ReportMarkdown(const Report& report);

}  // namespace gwq
