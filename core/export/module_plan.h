// Which matrices a format of integer codes stores as such, and how wide. Private to core/export.
#pragma once

#include <map>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/export/foreign_model.h"
#include "core/export/formats.h"
#include "core/export/integer_rows.h"

namespace gwq {

// "model.layers.0.mlp.up_proj" of "model.layers.0.mlp.up_proj.weight".
[[nodiscard]] std::string ModuleName(std::string_view tensor);

// The matrices to store as integers, by the name of their tensor, each in the smallest of `widths` that holds its
// codes; 8 is the last of them. All other tensors are FP16: embeddings, the head, matrices that the artifact holds
// dense, other stored formats than affine,
// matrices with outliers whose choice is "fold" or that are 8 bits wide and should go "wider", and groups that
// cannot be cut into equal ones of 8 columns or more. INVALID_ARGUMENT at "format" for a model with a vision tower, and
// at "outliers" if the artifact has some and the options do not say what becomes of them.
[[nodiscard]] absl::StatusOr<std::map<std::string, IntegerShape>> PlanIntegers(const ExportRun& run,
                                                                               std::span<const int> widths);

// "4 bits, groups of 64".
[[nodiscard]] std::string IntegersText(const IntegerShape& shape);

// Adds a tensor that the plan does not name to `out`, in FP16.
[[nodiscard]] absl::Status WriteHalfTensor(ExportRun& run, const TensorSpec& spec, ForeignModel& out);

// INVALID_ARGUMENT at "outliers", naming how many matrices and weights are concerned, if the artifact has outliers and
// `options` say nothing.
[[nodiscard]] absl::Status CheckOutlierChoice(const StoredModel& artifact, const ExportOptions& options);
// INVALID_ARGUMENT at "format" if the model has a vision tower.
[[nodiscard]] absl::Status CheckTextModel(const StoredModel& artifact, const ExportOptions& options);

}  // namespace gwq
