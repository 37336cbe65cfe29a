// Turns planned matrices into packed tensors of an artifact.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/base/thread_pool.h"
#include "core/quant/plan.h"
#include "core/quant/quantizer.h"
#include "core/quant/report.h"
#include "core/spec/recipe.h"

namespace gwq {

// What the calibration found out about a matrix: what its method needs, and else nothing.
struct MatrixEvidence {
  std::span<const float> gradient;
  std::span<const float> gram;
};

// Packs one matrix at a time: the method's content, bytes, blob; the matrix itself is read row by row. All arguments
// must outlive it. Not thread-safe.
class Packer {
 public:
  Packer(const StoredModel& source, const Recipe& recipe, ArtifactWriter& writer, const QuantizeTools& tools)
      : source_(source), recipe_(recipe), writer_(writer), tools_(tools) {}

  // The errors of the method. `values`, if not null, becomes the matrix as it will be read back, row-major.
  [[nodiscard]] absl::Status Pack(const PlannedModule& module, const MatrixEvidence& evidence,
                                  std::vector<float>* values = nullptr);
  // All matrices of a block that a method makes together. `squares` has the sums of squares of what each reads.
  // `values` gets each matrix as it will be read back.
  using TakeValues = std::function<absl::Status(size_t matrix, std::span<const float> values)>;
  [[nodiscard]] absl::Status PackBlock(std::span<const PlannedModule* const> modules,
                                       std::span<const std::span<const float>> squares, BlockObjective& objective,
                                       Progress& progress, const TakeValues& values);
  // Puts another content of the same shape in the place of what was packed.
  [[nodiscard]] absl::Status Repack(const PlannedModule& module, QuantizedMatrix made);
  [[nodiscard]] bool packed(const std::string& tensor) const { return reports_.contains(tensor); }
  // What was packed, in the plan's order.
  [[nodiscard]] std::vector<ReportModule> Reports(const Plan& plan) const;

  // What was packed so far, for a checkpoint: blobs and figures by tensor. Waits until the blobs are durable.
  [[nodiscard]] absl::StatusOr<nlohmann::json> State();
  // The blobs that a state names, by module. DATA_LOSS if it is none of the plan's, or a blob is missing or damaged.
  using Restored = std::vector<std::pair<const PlannedModule*, Digest>>;
  [[nodiscard]] absl::StatusOr<Restored> Check(const nlohmann::json& state, const Plan& plan) const;
  // Takes what an earlier attempt packed, as Check found it in the same state.
  [[nodiscard]] absl::Status Restore(const nlohmann::json& state, const Restored& restored);
  // Blobs of what was packed.
  [[nodiscard]] std::vector<Digest> Blobs() const;
  // What was packed, as it is stored.
  [[nodiscard]] absl::StatusOr<PackedTensor> Stored(const PlannedModule& module) const;
  // The matrix as it was packed, row-major.
  [[nodiscard]] absl::StatusOr<std::vector<float>> Values(const PlannedModule& module) const;

 private:
  // Encodes and stores what a method made.
  [[nodiscard]] absl::Status Store(const PlannedModule& module, const QuantizedMatrix& made, bool has_gradient,
                                   std::vector<float>* values);
  void NoteLosses(const PlannedModule& module, const std::optional<BlockLosses>& losses);
  [[nodiscard]] absl::StatusOr<DenseTensor> Matrix(const PlannedModule& module) const;

  const StoredModel& source_;
  const Recipe& recipe_;
  ArtifactWriter& writer_;
  const QuantizeTools& tools_;
  std::map<std::string, ReportModule> reports_;
};

}  // namespace gwq
