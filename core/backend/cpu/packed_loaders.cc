#include "core/backend/cpu/packed_loaders.h"

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

GridShape GridOf(const PackedShape& shape) {
  return {.rows = shape.rows,
          .cols = shape.cols,
          .bits = shape.bits,
          .group_size = shape.group_size,
          .coded_scales = shape.scale_bits == 8};
}

absl::StatusOr<LoadedBytes> AffineBytes(const PackedShape& shape) {
  GWQ_ASSIGN_OR_RETURN(const uint64_t grid, CpuWeight::GridBytes(GridOf(shape)));
  const uint64_t lists = MostSparseBytes(shape);
  // The lists grow by doubling before they are moved.
  return LoadedBytes{.held = grid + lists, .loading = 2 * lists};
}

absl::StatusOr<std::unique_ptr<CpuWeight>> LoadAffine(const PackedView& packed, WeightMemory& memory) {
  GWQ_ASSIGN_OR_RETURN(const AffineView view, AffineView::Of(packed));
  const GridShape grid = GridOf(view.shape());
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
  absl::StatusOr<LoadedBytes> (*bytes)(const PackedShape& shape);
};

constexpr std::array kLoaders = {PackedLoader{&kAffine1, LoadAffine, AffineBytes},
                                 PackedLoader{&kAffine2, LoadAffine, AffineBytes}};

absl::StatusOr<const PackedLoader*> LoaderOf(const Format& format) {
  for (const PackedLoader& loader : kLoaders) {
    if (loader.format == &format) return &loader;
  }
  return UnsupportedFormat("cpu", format);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CpuWeight>> LoadPackedWeight(const PackedView& view, WeightMemory& memory) {
  GWQ_ASSIGN_OR_RETURN(const PackedLoader* const loader, LoaderOf(view.format()));
  return loader->load(view, memory);
}

absl::StatusOr<LoadedBytes> PackedWeightBytes(const PackedShape& shape) {
  GWQ_ASSIGN_OR_RETURN(const PackedLoader* const loader, LoaderOf(*shape.format));
  return loader->bytes(shape);
}

}  // namespace gwq
