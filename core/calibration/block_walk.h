// A walk through a model in which each stage may be changed before its output goes on.
//
// Two streams of states run side by side: that of the full-precision model, where a visitor asks for it, and that of
// the model as quantized so far. The visitor sees each stage once, with its weights in full precision, the states
// before it, and the Gram matrices of what its linear layers read in the second stream; it may replace weights, and
// with them the second stream goes on. Behind a vision tower both streams read the image rows of the quantized tower.
// (Sequential quantization, as GPTQ, arXiv 2210.17323, and block-wise reconstruction, as BRECQ, arXiv 2102.05426, have
// it.)
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/calibration/stage_runner.h"
#include "core/calibration/walk_record.h"

namespace gwq {

// The stage that a visitor is looking at. Valid during the visit.
class VisitedBlock {
 public:
  virtual ~VisitedBlock() = default;
  [[nodiscard]] virtual int stage() const = 0;  // as TensorSpec::stage counts
  [[nodiscard]] virtual const std::vector<NamedWeight>& weights() const = 0;
  [[nodiscard]] virtual int64_t width() const = 0;  // columns of its output
  // Sum over the rows x that the layers with this weight read of x x^T, [in, in], or the diagonal of it, [in], as it
  // was wanted. FAILED_PRECONDITION if it was not.
  [[nodiscard]] virtual absl::StatusOr<std::span<const float>> Gram(const NamedWeight& weight) const = 0;
  // Frees the matrix, once all that share it are done.
  virtual void DropGram(const NamedWeight& weight) = 0;
  // Row-major, all of them. Takes effect at once.
  [[nodiscard]] virtual absl::Status SetValues(const NamedWeight& weight, std::span<const float> values) = 0;

  // Gradients of a weight (core/backend/torch/torch_backend.h): asked for, then added up by loaded().LossBackward and
  // Backward. FAILED_PRECONDITION if none was computed. Freed and set back to zero by DropGradient; those of a block
  // are gone after the visit.
  [[nodiscard]] virtual absl::Status WantGradient(const NamedWeight& weight) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::span<const float>> Gradient(const NamedWeight& weight) const = 0;
  virtual void DropGradient(const NamedWeight& weight) = 0;

  // Samples that run through this stage, and what they are before it in the stream of the quantized model.
  [[nodiscard]] virtual const std::vector<size_t>& samples() const = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<float>> Input(size_t sample) const = 0;
  // What the full-precision stage makes of the full-precision state; behind a tower with the image rows of the
  // quantized one. FAILED_PRECONDITION if the visitor does not want targets.
  [[nodiscard]] virtual absl::StatusOr<std::vector<float>> Target(size_t sample) const = 0;
  // The stage with its weights as they are now, forward and backward.
  [[nodiscard]] virtual const LoadedStage& loaded() const = 0;
};

class BlockVisitor {
 public:
  virtual ~BlockVisitor() = default;
  // Whether the Gram matrix of what layers with this weight read is wanted.
  [[nodiscard]] virtual GramKind WantsGram(std::string_view tensor) const = 0;
  // Whether Target is wanted at any stage: costs a second stream of states and one more pass a stage.
  [[nodiscard]] virtual bool WantsTargets() const = 0;
  // Whether the walk must go as far as this stage (as TensorSpec::stage counts).
  [[nodiscard]] virtual bool Wants(int stage) const = 0;
  [[nodiscard]] virtual absl::Status Visit(VisitedBlock& block) = 0;
  // A stage is done. Called only where the walk keeps records.
  [[nodiscard]] virtual absl::Status Reached(const WalkRecord& record) = 0;
};

struct BlockWalkOptions {
  uint64_t state_memory = uint64_t{256} << 20;  // of the states held in memory; the rest goes to a temporary file
  BlobStore* keep = nullptr;                    // where states are kept for a later attempt; null: nowhere
  std::optional<WalkRecord> from;               // go on from there, with the same result; needs `keep`
};

// Walks the vision tower, if any sample has an image, and the decoder up to the last stage that the visitor wants.
// Memory: one stage, its Gram matrices and state_memory. Runs on the calling thread alone apart from LibTorch's own
// pool; with one thread count the same bits every time. Reports phase "blocks" by stages.
[[nodiscard]] absl::Status WalkBlocks(StageRunner& runner, const BlockWalkOptions& options, BlockVisitor& visitor,
                                      Progress& progress);

}  // namespace gwq
