// A weight as CpuBackend holds it: a matrix in tiles, or a vector of floats.
#pragma once

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/backend/cpu/kernels/matrix_tiles.h"
#include "core/backend/cpu/sparse_lists.h"
#include "core/backend/cpu/weight_memory.h"

namespace gwq {

// A matrix of codes on a grid of scales and zero points, as a loader of a stored format gives it to the tiles.
struct GridShape {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;            // of a code
  int64_t group_size = 0;  // columns per scale and zero point, a multiple of 8; the last group may be shorter
  bool coded_scales = false;
};
// One row: a weight is (code - zero) * scale, the scale being FP16 or, with coded_scales, its code times row_scale.
struct GridRow {
  std::vector<uint8_t> codes;        // cols
  std::vector<uint8_t> zeros;        // groups
  std::vector<uint16_t> scales;      // groups, FP16 bits; empty with coded_scales
  std::vector<uint8_t> scale_codes;  // groups; empty without
  float row_scale = 0;
};
// Fills `out`, whose vectors have their sizes.
using ReadGridRow = absl::FunctionRef<void(int64_t row, GridRow& out)>;

class CpuWeight final : public Weight {
 public:
  // INVALID_ARGUMENT for another element type, no element, or other than one or two dimensions; RESOURCE_EXHAUSTED
  // if the memory cannot be had.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuWeight>> FromDense(const TensorView& view,
                                                                            WeightMemory& memory);
  // UNIMPLEMENTED for a width of codes that no kernel reads; RESOURCE_EXHAUSTED as above. A slot of an outlier holds
  // its group's zero point.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuWeight>> FromGrid(const GridShape& shape, ReadGridRow read,
                                                                           const SparseLists& outliers,
                                                                           WeightMemory& memory);

  // What FromGrid allocates beside the outliers. UNIMPLEMENTED as above.
  [[nodiscard]] static absl::StatusOr<uint64_t> GridBytes(const GridShape& shape);

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
  [[nodiscard]] absl::Status AllocateGrid(bool coded_scales, WeightMemory& memory);
  void FillGrid(const GridShape& shape, ReadGridRow read);
  [[nodiscard]] float ScaleOf(int64_t row, const uint8_t* group_params) const;
  [[nodiscard]] float ElementOf(int64_t row, int64_t col) const;

  Shape shape_;
  MatrixTiles tiles_;
  WeightSpan codes_;
  WeightSpan group_params_;
  WeightSpan row_scales_;
  WeightSpan vector_;
  WeightSpan sparse_;
};

}  // namespace gwq
