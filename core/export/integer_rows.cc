#include "core/export/integer_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/status.h"
#include "core/export/half_tensor.h"
#include "core/format/affine_view.h"

namespace gwq {
namespace {

constexpr uint16_t kSmallestScale = 1;  // 2^-24, in FP16 bits

// A grid that a group may take.
struct Grid {
  uint16_t scale = kSmallestScale;  // FP16 bits
  float zero = 0;                   // a whole number

  [[nodiscard]] float step() const { return HalfToFloat(scale); }
};

uint16_t HalfScale(float scale) { return std::clamp<uint16_t>(FloatToHalf(scale), kSmallestScale, 0x7BFF); }

// Codes of a group on a grid, and what they stand for.
class GroupCodes {
 public:
  GroupCodes(const IntegerShape& shape, std::span<const float> weights)
      : weights_(weights), top_(static_cast<float>((1 << shape.bits) - 1)) {
    const auto [low, high] = std::ranges::minmax(weights);
    low_ = std::min(low, 0.0F);
    high_ = std::max(high, 0.0F);
  }

  // The grid whose zero point lets the least weight in; its largest may be beyond it.
  [[nodiscard]] Grid Placed(float scale) const {
    Grid grid{HalfScale(scale), 0};
    grid.zero = std::clamp(std::nearbyint(-low_ / grid.step()), 0.0F, top_);
    return grid;
  }
  [[nodiscard]] Grid Spanning() const { return Placed((high_ - low_) / top_); }
  [[nodiscard]] float Code(const Grid& grid, float weight) const {
    return std::clamp(std::nearbyint(weight / grid.step()) + grid.zero, 0.0F, top_);
  }
  [[nodiscard]] double Error(const Grid& grid) const {
    double error = 0;
    for (const float weight : weights_) {
      const double difference = (Code(grid, weight) - grid.zero) * grid.step() - weight;
      error += difference * difference;
    }
    return error;
  }

 private:
  std::span<const float> weights_;
  float top_;
  float low_ = 0;
  float high_ = 0;
};

// The best of more codes than the group had: `own` where it holds every weight, else its scale divided by powers of
// two, else a grid that spans the weights.
Grid WiderGrid(const GroupCodes& group, float own_scale, const Grid& own) {
  Grid best = own;
  double least = group.Error(own);
  const auto consider = [&](const Grid& grid) {
    const double error = group.Error(grid);
    if (error >= least) return;
    least = error;
    best = grid;
  };
  for (float divisor = 1; divisor <= 128 && least > 0; divisor *= 2) consider(group.Placed(own_scale / divisor));
  if (least > 0) consider(group.Spanning());
  return best;
}

}  // namespace

int64_t DividingGroup(const PackedShape& shape) {
  return shape.group_size >= shape.cols ? shape.cols : std::gcd(shape.group_size, shape.cols);
}

absl::Status ForEachIntegerRow(const PackedTensor& tensor, const IntegerShape& shape, WeightLoss& loss,
                               absl::FunctionRef<absl::Status(int64_t, const IntegerRow&)> visit) {
  GWQ_ASSIGN_OR_RETURN(const AffineView view, AffineView::Of(tensor.view));
  const PackedShape& packed = view.shape();
  const auto own_groups = static_cast<size_t>(packed.groups_per_row());
  std::vector<float> own_scales(own_groups);
  std::vector<uint8_t> own_zeros(own_groups);
  IntegerRow out;
  out.codes.resize(static_cast<size_t>(shape.cols));
  out.zeros.resize(static_cast<size_t>(shape.groups()));
  out.scales.resize(static_cast<size_t>(shape.groups()));
  std::vector<float> written(out.codes.size());
  const int64_t rows_a_part = std::max<int64_t>(1, static_cast<int64_t>(kExportPart) / shape.cols);

  return tensor.view.ForEachRow([&](int64_t row, std::span<const float> weights) -> absl::Status {
    view.UnpackScales(row, own_scales);
    view.UnpackZeros(row, own_zeros);
    for (int64_t g = 0; g < shape.groups(); ++g) {
      const int64_t begin = g * shape.group_size;
      const auto own = static_cast<size_t>(begin / packed.group_size);
      const auto part = weights.subspan(static_cast<size_t>(begin), static_cast<size_t>(shape.group_size));
      const GroupCodes group(shape, part);
      Grid grid{HalfScale(own_scales[own]), static_cast<float>(own_zeros[own])};
      if (shape.bits > packed.bits) grid = WiderGrid(group, own_scales[own], grid);
      out.scales[static_cast<size_t>(g)] = grid.scale;
      out.zeros[static_cast<size_t>(g)] = static_cast<uint8_t>(grid.zero);
      for (size_t i = 0; i < part.size(); ++i) {
        const float code = group.Code(grid, part[i]);
        out.codes[static_cast<size_t>(begin) + i] = static_cast<uint8_t>(code);
        written[static_cast<size_t>(begin) + i] = (code - grid.zero) * grid.step();
      }
    }
    loss.Add(weights, written);
    if (row % rows_a_part == rows_a_part - 1) tensor.blob->DropPages();
    return visit(row, out);
  });
}

}  // namespace gwq
