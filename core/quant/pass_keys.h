// Under which keys the findings of gradient passes are kept (core/storage/pass_cache.h).
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/quant/budget/target.h"
#include "core/quant/plan.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/storage/pass_cache.h"

namespace gwq {

// The samples' tokens stand in the keys by what determines them: the model's manifest (its tokenizer, template and
// weights), the calibration with the number of its samples, and the seed. So a key is known before any text is read.
// Texts that the model makes depend on the producer too. Samples with images have no key: not called where
// plan.sees_image.

// Losses of the forms of the open modules.
[[nodiscard]] PassKey LossesKey(const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer);
// Metrics of the outputs of blocks.
[[nodiscard]] PassKey MetricsKey(const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer);
// Gradients of the matrices that GWQ makes.
[[nodiscard]] PassKey GradientsKey(const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer);

// A record of the losses, stored as one scratch blob.
[[nodiscard]] absl::StatusOr<Checkpoint> StoreLosses(BlobStore& store, const FormLosses& losses);
// DATA_LOSS if the record or its blob is damaged, or does not have the losses of all open modules of `plan`.
[[nodiscard]] absl::StatusOr<FormLosses> ReadLosses(BlobStore& store, const Checkpoint& record, const Plan& plan);

// Divides the plan's target if `passes` has the losses of its forms, whoever found them: the sizes are then those that
// the artifact will have. An error of `passes` is one only if it is CANCELLED.
[[nodiscard]] absl::Status DivideIfKnown(BlobStore& store, const Digest& model, const Recipe& recipe, PassCache& passes,
                                         Plan& plan);

}  // namespace gwq
