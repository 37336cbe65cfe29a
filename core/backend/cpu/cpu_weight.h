// A weight as CpuBackend holds it: a matrix in tiles, or a vector of floats.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/backend/cpu/matrix_tiles.h"
#include "core/backend/cpu/weight_memory.h"

namespace gwq {

class CpuWeight final : public Weight {
 public:
  // INVALID_ARGUMENT for another element type, no element, or other than one or two dimensions; RESOURCE_EXHAUSTED
  // where the memory cannot be had.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuWeight>> FromDense(const TensorView& view,
                                                                            WeightMemory& memory);
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuWeight>> FromPacked(const PackedView& view,
                                                                             WeightMemory& memory);

  [[nodiscard]] Shape shape() const override { return shape_; }
  [[nodiscard]] uint64_t bytes() const override;

  // Null for a vector.
  [[nodiscard]] const MatrixTiles* matrix() const { return shape_.size() == 2 ? &tiles_ : nullptr; }
  // Null for a matrix; padded with zeros to a multiple of kRowPad.
  [[nodiscard]] const float* vector() const { return shape_.size() == 1 ? vector_.as<float>() : nullptr; }
  // The weights of one row of a matrix, cols of them.
  void Row(int64_t row, float* out) const;

 private:
  explicit CpuWeight(Shape shape) : shape_(std::move(shape)) {}
  [[nodiscard]] absl::Status AllocateTiles(WeightMemory& memory);
  void FillDense(const TensorView& view);
  void FillPacked(const PackedView& view);
  [[nodiscard]] float ElementOf(int64_t row, int64_t col) const;

  Shape shape_;
  MatrixTiles tiles_;
  WeightSpan codes_;
  WeightSpan grid_;
  WeightSpan vector_;
  WeightSpan sparse_;
};

}  // namespace gwq
