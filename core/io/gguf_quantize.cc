#include "core/io/gguf_quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/base/tensor_view.h"
#include "core/io/gguf_fit.h"
#include "core/io/gguf_k_blocks.h"

namespace gwq {
namespace {

constexpr size_t kSmallBlock = 32;

// The half that is nearest and finite.
uint16_t FiniteHalf(float value) {
  const uint16_t half = FloatToHalf(value);
  return (half & 0x7C00U) == 0x7C00U ? static_cast<uint16_t>((half & 0x8000U) | 0x7BFFU) : half;
}

float Rounded(float value) { return HalfToFloat(FiniteHalf(value)); }

void PutHalf(float value, std::byte* out) {
  const uint16_t half = FiniteHalf(value);
  std::memcpy(out, &half, sizeof(half));
}

// The candidate with the least error once it is rounded to FP16, as it will be stored.
class BestFit {
 public:
  BestFit(std::span<const float> weights, int low, int high) : weights_(weights), low_(low), high_(high) {}

  void Consider(GridFit fit) {
    fit = {Rounded(fit.scale), Rounded(fit.minimum)};
    const double error = FitError(fit, weights_, low_, high_);
    if (found_ && error >= least_) return;
    found_ = true;
    least_ = error;
    fit_ = fit;
  }
  [[nodiscard]] bool exact() const { return found_ && least_ == 0; }
  [[nodiscard]] const GridFit& fit() const { return fit_; }
  [[nodiscard]] int Code(size_t i) const { return FitCode(fit_, weights_[i], low_, high_); }

 private:
  std::span<const float> weights_;
  const int low_;
  const int high_;
  bool found_ = false;
  double least_ = 0;
  GridFit fit_;
};

void PutNibbles(const BestFit& best, int shift, std::byte* out) {
  for (size_t i = 0; i < kSmallBlock / 2; ++i) {
    out[i] = static_cast<std::byte>((best.Code(i) + shift) | (best.Code(i + 16) + shift) << 4);
  }
}

void BlockQ8(std::span<const float> weights, const GgmlGrid& grid, std::byte* out) {
  BestFit best(weights, -127, 127);
  if (grid.scale > 0) {
    for (float divisor = 1; divisor <= 128 && !best.exact(); divisor *= 2) best.Consider({grid.scale / divisor, 0});
  }
  if (!best.exact()) {
    float largest = 0;
    for (const float weight : weights) largest = std::max(largest, std::abs(weight));
    best.Consider({largest / 127, 0});
  }
  PutHalf(best.fit().scale, out);
  for (size_t i = 0; i < kSmallBlock; ++i) out[2 + i] = static_cast<std::byte>(best.Code(i));
}

void BlockQ40(std::span<const float> weights, const GgmlGrid& grid, std::byte* out) {
  BestFit best(weights, -8, 7);
  if (grid.scale > 0) best.Consider({grid.scale, 0});
  if (!best.exact()) best.Consider(FitScale(weights, -8, 7));
  PutHalf(best.fit().scale, out);
  PutNibbles(best, 8, out + 2);
}

// The grid of codes 0 to `high` with a minimum; writes its scale and minimum.
BestFit PutMinimumGrid(std::span<const float> weights, const GgmlGrid& grid, int high, std::byte* out) {
  BestFit best(weights, 0, high);
  if (grid.scale > 0) best.Consider({grid.scale, -grid.zero * grid.scale});
  if (!best.exact()) best.Consider(FitMinimum(weights, high, false));
  PutHalf(best.fit().scale, out);
  PutHalf(best.fit().minimum, out + 2);
  return best;
}

void BlockQ41(std::span<const float> weights, const GgmlGrid& grid, std::byte* out) {
  PutNibbles(PutMinimumGrid(weights, grid, 15, out), 0, out + 4);
}

void BlockQ51(std::span<const float> weights, const GgmlGrid& grid, std::byte* out) {
  const BestFit best = PutMinimumGrid(weights, grid, 31, out);
  uint32_t fifth = 0;
  for (size_t i = 0; i < kSmallBlock; ++i) fifth |= static_cast<uint32_t>(best.Code(i) >> 4) << i;
  std::memcpy(out + 4, &fifth, sizeof(fifth));
  for (size_t i = 0; i < kSmallBlock / 2; ++i) {
    out[8 + i] = static_cast<std::byte>((best.Code(i) & 15) | (best.Code(i + 16) & 15) << 4);
  }
}

void BlockK(GgmlType type, std::span<const float> weights, std::byte* out) {
  const KType& k = KTypeOf(type);
  const auto part = static_cast<size_t>(k.part);
  const size_t parts = weights.size() / part;
  std::array<GridFit, 16> fits;
  float scale = 0;    // of largest size
  float minimum = 0;  // size of the lowest
  for (size_t p = 0; p < parts; ++p) {
    const auto of_part = weights.subspan(p * part, part);
    fits[p] = k.minima ? FitMinimum(of_part, k.high, true) : FitScale(of_part, k.low, k.high);
    if (std::abs(fits[p].scale) > std::abs(scale)) scale = fits[p].scale;
    minimum = std::max(minimum, -fits[p].minimum);
  }
  KBlock block;
  // With scales of both signs, the side with one more value takes the scale of largest size.
  block.scale = Rounded(scale / static_cast<float>(k.minima ? k.scale_high : k.scale_low));
  block.minimum = k.minima ? Rounded(minimum / static_cast<float>(k.scale_high)) : 0;
  for (size_t p = 0; p < parts; ++p) {
    block.part_scales[p] = FitCode({block.scale, 0}, fits[p].scale, k.scale_low, k.scale_high);
    if (k.minima) block.part_minima[p] = FitCode({block.minimum, 0}, -fits[p].minimum, 0, k.scale_high);
    const GridFit written{block.scale * static_cast<float>(block.part_scales[p]),
                          -block.minimum * static_cast<float>(block.part_minima[p])};
    for (size_t i = p * part; i < (p + 1) * part; ++i) {
      block.codes[i] = static_cast<int8_t>(FitCode(written, weights[i], k.low, k.high));
    }
  }
  PackKBlock(type, block, out);
}

void Block(GgmlType type, std::span<const float> weights, const GgmlGrid& grid, std::byte* out) {
  switch (type) {
    case GgmlType::kF32:
      std::memcpy(out, weights.data(), sizeof(float));
      return;
    case GgmlType::kF16:
      return PutHalf(weights[0], out);
    case GgmlType::kQ8_0:
      return BlockQ8(weights, grid, out);
    case GgmlType::kQ4_0:
      return BlockQ40(weights, grid, out);
    case GgmlType::kQ4_1:
      return BlockQ41(weights, grid, out);
    case GgmlType::kQ5_1:
      return BlockQ51(weights, grid, out);
    default:
      return BlockK(type, weights, out);
  }
}

}  // namespace

void QuantizeGgml(GgmlType type, std::span<const float> weights, std::span<const GgmlGrid> grids,
                  std::span<std::byte> out) {
  const auto elements = static_cast<size_t>(GgmlBlockElements(type));
  std::byte* to = out.data();
  for (size_t i = 0; i < weights.size(); i += elements, to += GgmlBlockBytes(type)) {
    const GgmlGrid grid = grids.empty() || elements != kSmallBlock ? GgmlGrid() : grids[i / kSmallBlock];
    Block(type, weights.subspan(i, elements), grid, to);
  }
}

}  // namespace gwq
