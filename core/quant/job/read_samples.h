// The samples that a quantization's calibration reads.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_dataset.h"
#include "core/artifact/stored_model.h"
#include "core/base/progress.h"
#include "core/calibration/sample_check.h"
#include "core/calibration/sample_set.h"
#include "core/quant/plan.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"

namespace gwq {

// As the recipe's source says (core/calibration): `plan.samples` of them, of a mix those of its parts interleaved.
// `datasets` in the order of CalibrationDatasets. The tokenizer's memory is free again afterwards. The errors of the
// source at its field below "recipe.calibration". Phase "sample".
[[nodiscard]] absl::StatusOr<SampleSet> ReadSamples(BlobStore& store, const StoredModel& source, const Recipe& recipe,
                                                    const Plan& plan, const std::vector<StoredDataset>& datasets,
                                                    Progress& progress);

// Whether samples of this plan are the model's own texts from several starts (core/calibration/own_text.h): of a text
// model with a chat template, where there are several samples.
[[nodiscard]] absl::StatusOr<bool> WritesOwnTexts(const StoredModel& source, const Recipe& recipe, const Plan& plan);

// What the methods of the plan ask of the samples: one for a gradient alone, as GWQ is published; eight, and as many
// tokens as the widest matrix has columns, where a Gram matrix is made or a block is learned.
[[nodiscard]] SampleNeeds NeedsOf(const Plan& plan, const Recipe& recipe);

}  // namespace gwq
