// What a recipe will do to a model, before any gradient is computed: sizes are exact, memory is an upper bound.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/manifest/manifest.h"
#include "core/models/model.h"
#include "core/quant/quantizer.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"

namespace gwq {

// One of the forms that a target may give a matrix.
struct ModuleChoice {
  PackedShape packed;
  uint64_t stored_bytes = 0;
};

struct PlannedModule {
  std::string tensor;  // "model.layers.0.self_attn.q_proj.weight"
  TensorKind kind = TensorKind::kLinear;
  ModelPart part = ModelPart::kLanguage;
  int stage = 0;
  Method method = Method::kKeep;
  Needs needs = Needs::kNothing;  // of its method
  PackedShape packed;             // where method is not kKeep
  uint64_t weights = 0;
  uint64_t stored_bytes = 0;  // packed blob, or the tensor as it is
  // Of a matrix whose form a target is still to choose, by rising bytes; `packed` is the last of them until then.
  std::vector<ModuleChoice> choices;
  [[nodiscard]] bool is_open() const { return !choices.empty(); }
};

// With open modules the sizes are at most what they say.
struct Plan {
  std::vector<PlannedModule> modules;  // every tensor of the model, by stage and then as the family lists them
  uint64_t quantized_weights = 0;      // weights of packed matrices other than head and embedding
  uint64_t quantized_bytes = 0;
  uint64_t total_weights = 0;  // all tensors, a tied one once
  uint64_t total_bytes = 0;
  uint64_t open_bytes = 0;   // that open modules may have together
  double rounding_loss = 0;  // of the forms that a target chose (core/quant/budget/rounding_loss.h), nats per token
  bool sees_image = false;   // whether any sample of the calibration has an image
  int64_t samples = 1;       // of the calibration, at most
  double matrix_bits_per_weight = 0;  // quantized_bytes * 8 / quantized_weights
  double model_bits_per_weight = 0;   // total_bytes * 8 / total_weights
  // Of the worker; docs/memory.md derives the formula. PlanEvaluations adds what is measured.
  uint64_t peak_memory_bytes = 0;
  // States of the samples on the disk at most, in the blob store and in the worker's temporary file together; 0 if
  // nothing is calibrated. The artifact's own bytes are not in it.
  uint64_t scratch_disk_bytes = 0;
};

// Whether any module of the plan needs this.
[[nodiscard]] bool AnyNeeds(const Plan& plan, Needs needs);

[[nodiscard]] bool HasOpenModules(const Plan& plan);

// Samples of the gradient pass with drawn labels, at most: for a target's costs and for the metrics of blocks. 0: none
// is made.
[[nodiscard]] int64_t FisherSamples(const Plan& plan, const Recipe& recipe);

// The manifests of a calibration's datasets, in the order of CalibrationDatasets (core/spec/recipe.h).
using DatasetManifests = std::vector<const Manifest*>;

// Whether any of the recipe's samples has an image. `datasets` as PlanQuantization takes them. INVALID_ARGUMENT at
// "recipe.calibration.source" or the field that names a dataset if one has and the model sees none.
[[nodiscard]] absl::StatusOr<bool> SamplesHaveImages(const Model& model, const Recipe& recipe,
                                                     const DatasetManifests& datasets);

// `datasets` are those of the calibration, of which no line is read here; empty if the recipe names none.
// INVALID_ARGUMENT if a rule matches nothing or gives a matrix a shape CheckPackedShape refuses (the field names the
// rule), or if no line of a dataset can be a sample.
[[nodiscard]] absl::StatusOr<Plan> PlanQuantization(const Model& model, const Manifest& source, const Recipe& recipe,
                                                    const DatasetManifests& datasets = {});

// Raises the plan's peak memory to what the tasks need on the model `source` and on an artifact of it. The errors of
// EvaluationMemory at `path` + "[i]".
[[nodiscard]] absl::Status PlanEvaluations(BlobStore& store, const Digest& source,
                                           const std::vector<EvaluationTask>& evaluations, std::string_view path,
                                           Plan& plan);

// The same for MeasureDecodeSpeed on an artifact of `source`.
[[nodiscard]] absl::Status PlanDecodeSpeed(BlobStore& store, const Digest& source, Plan& plan);

}  // namespace gwq
