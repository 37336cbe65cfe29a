// What a method that makes a whole block at once may do with it: try weights, and see what the block's output loses.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "absl/status/statusor.h"

namespace gwq {

// What a method measured of a block's output before it learned anything and after.
struct BlockLosses {
  double before = 0, after = 0;
};

// A block with the matrices that are to be made, numbered as they are given to Quantizer::QuantizeBlock, and its
// samples. The loss of a sample is how far the block's output, on the hidden states of the model as quantized so far,
// is from that of the full-precision block on the full-precision model's hidden states. Not thread-safe.
class BlockObjective {
 public:
  virtual ~BlockObjective() = default;
  [[nodiscard]] virtual int stage() const = 0;  // as TensorSpec::stage counts
  [[nodiscard]] virtual size_t samples() const = 0;
  // The values of a matrix from now on, row-major.
  [[nodiscard]] virtual absl::Status SetValues(size_t matrix, std::span<const float> values) = 0;
  [[nodiscard]] virtual absl::StatusOr<double> Loss(size_t sample) = 0;
  // The same, and adds to the gradients of all matrices.
  [[nodiscard]] virtual absl::StatusOr<double> LossBackward(size_t sample) = 0;
  // [rows, cols], row-major, until the next DropGradients. FAILED_PRECONDITION if none was computed.
  [[nodiscard]] virtual absl::StatusOr<std::span<const float>> Gradient(size_t matrix) const = 0;
  virtual void DropGradients() = 0;

  // What the method found, for the report.
  void TellLosses(const BlockLosses& losses) { losses_ = losses; }
  [[nodiscard]] const std::optional<BlockLosses>& losses() const { return losses_; }

 private:
  std::optional<BlockLosses> losses_;
};

}  // namespace gwq
