// Linear algebra on LibTorch's CPU kernels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/solver.h"

namespace gwq {

// With one thread count the same matrix gives the same bits again. Not thread-safe.
class TorchSolver final : public Solver {
 public:
  // Threads of LibTorch's own pool, as TorchOptions::threads.
  explicit TorchSolver(int threads) : threads_(threads) {}
  [[nodiscard]] absl::StatusOr<std::vector<float>> InverseFactor(std::span<const float> matrix,
                                                                 int64_t size) const override;
  [[nodiscard]] absl::Status AddGram(std::span<const float> rows, int64_t width, std::span<float> sum) const override;
  [[nodiscard]] absl::StatusOr<std::vector<float>> Multiply(std::span<const float> rows, std::span<const float> matrix,
                                                            int64_t width) const override;

 private:
  const int threads_;
};

}  // namespace gwq
