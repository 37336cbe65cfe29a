// One matrix whose codes, scales and outlier values are learned.
//
// With s and z scale and zero point of a weight's group, u its continuous code and l the logarithm of what its scale
// was changed by, the matrix is
//
//     w' = s exp(l) (round(u) - z)        an outlier: its value v
//
// and what is learned is u, l and v. The gradient passes through the rounding as if it were not there (the
// straight-through estimator, arXiv 1308.3432): u moves by the sign of its gradient (as in SignRound, arXiv
// 2309.05516), l by Adam (arXiv 1412.6980).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/quant/group_quantize.h"
#include "core/quant/quantizer.h"
#include "core/quant/tuned/adam.h"
#include "core/quant/tuned/rates.h"

namespace gwq {

// Nothing depends on the number of threads. Not thread-safe itself.
class LearnedMatrix {
 public:
  // Each group's range is the one of the least error weighted with input.squares (range_search.h); the outliers are the
  // weights with the largest squares * (w - w')^2. FAILED_PRECONDITION naming tensor, row and column of a weight, or
  // the column of an input, that is not finite.
  [[nodiscard]] static absl::StatusOr<LearnedMatrix> Start(const MatrixInput& input, ThreadPool& pool);

  // Upper bound of the memory of one.
  [[nodiscard]] static uint64_t Bytes(const PackedShape& shape);

  [[nodiscard]] size_t size() const { return codes_.size(); }
  // The matrix as it is now; scales and outlier values are not rounded to their stored form yet.
  void Values(ThreadPool& pool, std::span<float> out) const;
  // One step by the gradient of the loss with respect to the values.
  void Step(std::span<const float> gradient, const LearningRates& rates, ThreadPool& pool);
  // As it is stored. Errors are measured by MeasureErrors, not here.
  [[nodiscard]] QuantizedMatrix Finish(ThreadPool& pool) const;

 private:
  explicit LearnedMatrix(const PackedShape& shape);
  void StartRow(const MatrixInput& input, int64_t row);
  [[nodiscard]] absl::Status PickOutliers(const MatrixInput& input, ThreadPool& pool);
  void StepRow(int64_t row, std::span<float> gradient, const LearningRates& rates);
  void FinishRow(int64_t row, QuantizedMatrix& made, int64_t& saturated) const;
  // Places of the row's outliers in outliers_.
  struct Range {
    size_t begin = 0, end = 0;
  };
  [[nodiscard]] Range OutliersOf(int64_t row) const;

  PackedShape shape_;
  std::vector<float> codes_;   // u
  std::vector<float> scales_;  // s, by group
  std::vector<uint8_t> zeros_;
  AdamParameters changes_;         // l, by group
  std::vector<int64_t> outliers_;  // flat positions, increasing
  std::vector<float> values_;      // v
  int steps_ = 0;
};

}  // namespace gwq
