// Asymmetric quantization of a matrix in groups along its rows, with outliers left out. docs/method.md derives it.
//
// For a group of one row, over its weights w that are no outliers (an outlier counts as 0):
//   low = min(0, min w)    high = max(0, max w)    top = 2^bits - 1
//   scale = max(half((high - low) / top), 2^-24)         FP16; the rounded value is used from here on
//   zero  = clamp(round(-low / scale), 0, top)           round half to even, as everywhere here
//   code  = clamp(round(w / scale) + zero, 0, top)
// The weight becomes (code - zero) * scale. An outlier's slot holds the code `zero`, so that it is exactly 0, and its
// value is stored beside the codes. All arithmetic is in single precision. With scale_bits 8 the scales of a row are
// rounded together before zero and code (core/format/coded_scales.h), and these are computed on the scale that its code
// gives.
//
// Beyond the reference: a scale above 65504 becomes 65504 and an outlier's value past the FP16 range becomes the
// largest finite FP16 of its sign; both are counted as saturated. A group of outliers only gets scale 2^-24, zero 0,
// codes 0.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/tensor_view.h"
#include "core/base/thread_pool.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// Scale, zero point and codes of one group. codes.size() == weights.size(); outliers in it are given as 0.
struct GroupCodes {
  uint16_t scale = 0;  // FP16 bits
  uint8_t zero = 0;
  bool saturated = false;
};
[[nodiscard]] GroupCodes QuantizeGroup(std::span<const float> weights, int bits, std::span<uint8_t> codes);
// The codes on a scale that is given; returns the zero point.
[[nodiscard]] uint8_t CodeGroup(std::span<const float> weights, int bits, float scale, std::span<uint8_t> codes);

// max(half((high - low) / top), 2^-24) as FP16 bits; sets `saturated` where FP16 cannot hold it.
[[nodiscard]] uint16_t ScaleOf(float low, float high, int bits, bool& saturated);
// max(half(scale), 2^-24) as FP16 bits; sets `saturated` where FP16 cannot hold it.
[[nodiscard]] uint16_t ScaleBits(float scale, bool& saturated);
// ScaleOf the group's range.
[[nodiscard]] uint16_t GroupScale(std::span<const float> weights, int bits, bool& saturated);
// FP16 bits of `value`, the largest finite one of its sign where FP16 cannot hold it, which sets `saturated`.
[[nodiscard]] uint16_t SaturatedHalf(float value, bool& saturated);

struct QuantizedMatrix {
  PackedContent content;
  int64_t saturated = 0;      // scales and outlier values that FP16 cannot hold
  double error = 0;           // sum of (w - w')^2
  double norm = 0;            // sum of w^2
  double weighted_error = 0;  // sum of (g (w - w'))^2 over the gradient g
  double weighted_norm = 0;   // sum of (g w)^2
};

// Codes, scales and zero points of `shape` to be filled in; outliers at `outliers`, which holds shape.outliers flat
// positions in increasing order.
[[nodiscard]] PackedContent EmptyContent(const PackedShape& shape, std::span<const int64_t> outliers);

// Quantizes `weights` [shape.rows, shape.cols], F32, F16 or BF16. `outliers` holds shape.outliers flat positions in
// increasing order; `gradient` weights the error and may be empty. `shape` must pass CheckPackedShape. The result does
// not depend on the pool's size. Holds the content and a row of floats per thread. FAILED_PRECONDITION naming `tensor`
// and the position of a weight that is not finite.
[[nodiscard]] absl::StatusOr<QuantizedMatrix> QuantizeMatrix(const TensorView& weights, const PackedShape& shape,
                                                             std::span<const int64_t> outliers,
                                                             std::span<const float> gradient, std::string_view tensor,
                                                             ThreadPool& pool);

// The scale of a group as weights are multiplied by it.
[[nodiscard]] float ScaleAt(const PackedContent& content, int64_t row, int64_t group);

// Fills in what `made.content` loses of `weights`; `gradient` may be empty. The sums do not depend on the pool's size.
void MeasureErrors(const TensorView& weights, std::span<const float> gradient, ThreadPool& pool, QuantizedMatrix& made);

// FAILED_PRECONDITION naming tensor, row and column of the first weight that is not finite.
[[nodiscard]] absl::Status CheckFinite(const TensorView& weights, int64_t cols, std::string_view tensor,
                                       ThreadPool& pool);

}  // namespace gwq
