// A stored tensor whose scales are tuned while its codes stay: of each group of a row the logarithm of what its scale
// is changed by, and of each outlier its value. A norm's weights are groups of one.
//
//     w' = w exp(l)        an outlier: v + d u, with u its group's scale
//
// l and d are learned (adam.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/format/affine_view.h"
#include "core/quant/group_quantize.h"
#include "core/quant/tuned/adam.h"

namespace gwq {

// Not thread-safe; what it computes does not depend on the number of threads.
class TunedTensor {
 public:
  // A matrix of groups, or a vector as one row.
  TunedTensor(int64_t rows, int64_t cols, int64_t group_size);
  explicit TunedTensor(const AffineView& stored);
  // Upper bound of the memory of one.
  [[nodiscard]] static uint64_t Bytes(const PackedShape& shape);

  // `values` [rows, cols] as stored become what they are now.
  void Apply(std::span<float> values) const;
  // A matrix as it is now. `stored` is what it was made of.
  void Values(const AffineView& stored, ThreadPool& pool, std::span<float> out) const;
  // One step by the gradient of the loss with respect to `values`, as Apply made them. `step` counts from 1.
  void Step(std::span<const float> gradient, std::span<const float> values, float rate, int step, ThreadPool& pool);
  // `stored`, which it was made of, with its scales and outlier values as they are now.
  [[nodiscard]] QuantizedMatrix Repacked(const AffineView& stored) const;

  // All that is learned, for a checkpoint; its size does not change.
  [[nodiscard]] std::vector<float> State() const;
  // False if the size is another.
  [[nodiscard]] bool SetState(std::span<const float> state);

 private:
  const int64_t rows_, cols_, group_size_, groups_;
  AdamParameters scales_;           // l
  std::vector<int64_t> positions_;  // of the outliers, flat and increasing
  std::vector<float> units_;        // u
  AdamParameters outliers_;         // d
};

}  // namespace gwq
