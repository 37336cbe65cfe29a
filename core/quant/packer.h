// Turns planned matrices into packed tensors of an artifact.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/base/thread_pool.h"
#include "core/quant/plan.h"
#include "core/quant/report.h"
#include "core/spec/recipe.h"

namespace gwq {

// Packs one matrix at a time: scores, outliers, codes, bytes, blob; the matrix itself is read row by row. All arguments
// must outlive it. Not thread-safe.
class Packer {
 public:
  Packer(const StoredModel& source, const Recipe& recipe, ArtifactWriter& writer, ComputeTeam& team)
      : source_(source), recipe_(recipe), writer_(writer), team_(team) {}

  // `gradient` has the matrix's elements, or is empty where the recipe's outliers do not come from one.
  // FAILED_PRECONDITION naming the tensor where a score or weight is not finite.
  [[nodiscard]] absl::Status Pack(const PlannedModule& module, std::span<const float> gradient);
  [[nodiscard]] bool packed(const std::string& tensor) const { return reports_.contains(tensor); }
  // What was packed, in the plan's order.
  [[nodiscard]] std::vector<ReportModule> Reports(const Plan& plan) const;

 private:
  [[nodiscard]] absl::StatusOr<std::vector<int64_t>> Outliers(const PlannedModule& module, const TensorView& weights,
                                                              std::span<const float> gradient) const;

  const StoredModel& source_;
  const Recipe& recipe_;
  ArtifactWriter& writer_;
  ComputeTeam& team_;
  std::map<std::string, ReportModule> reports_;
};

// Whether the matrix's outliers are picked by its gradient.
[[nodiscard]] bool NeedsGradient(const PlannedModule& module, const Recipe& recipe);

}  // namespace gwq
