#include "core/backend/cpu/kernels/packed_loaders.h"

#include <array>

#include "core/backend/packed_format.h"
#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "core/format/affine_view.h"
#include "core/format/format.h"

namespace gwq {
namespace {

// A code is multiplied by R / 256 in the kernels as in the format: both factors and the product are exact.
float RowScaleOf(const AffineView& view, int64_t row) { return HalfToFloat(view.row_scale(row)) * 0x1p-8F; }

absl::StatusOr<std::unique_ptr<CpuWeight>> LoadAffine(const PackedView& packed, WeightMemory& memory) {
  GWQ_ASSIGN_OR_RETURN(const AffineView view, AffineView::Of(packed));
  const PackedShape& shape = view.shape();
  const GridShape grid = {.rows = shape.rows,
                          .cols = shape.cols,
                          .bits = shape.bits,
                          .group_size = shape.group_size,
                          .coded_scales = shape.scale_bits == 8};
  const auto read = [&](int64_t row, GridRow& out) {
    view.UnpackCodes(row, out.codes);
    view.UnpackZeros(row, out.zeros);
    for (size_t group = 0; group < out.scales.size(); ++group) {
      out.scales[group] = view.half_scale(row, static_cast<int64_t>(group));
    }
    for (size_t group = 0; group < out.scale_codes.size(); ++group) {
      out.scale_codes[group] = view.scale_code(row, static_cast<int64_t>(group));
    }
    if (grid.coded_scales) out.row_scale = RowScaleOf(view, row);
  };
  return CpuWeight::FromGrid(grid, read, BuildSparseLists(packed), memory);
}

struct PackedLoader {
  const Format* format;
  absl::StatusOr<std::unique_ptr<CpuWeight>> (*load)(const PackedView& view, WeightMemory& memory);
};

constexpr std::array kLoaders = {PackedLoader{&kAffine1, LoadAffine}, PackedLoader{&kAffine2, LoadAffine}};

}  // namespace

absl::StatusOr<std::unique_ptr<CpuWeight>> LoadPackedWeight(const PackedView& view, WeightMemory& memory) {
  for (const PackedLoader& loader : kLoaders) {
    if (loader.format == &view.format()) return loader.load(view, memory);
  }
  return UnsupportedFormat("cpu", view.format());
}

}  // namespace gwq
