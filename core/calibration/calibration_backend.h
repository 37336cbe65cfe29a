// What a calibration computes with: LibTorch, behind interfaces that name nothing of it.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/backend/solver.h"

namespace gwq {

class TorchBackend;

// Memory of tensors that may lie unused. What a block's layers make one after the other without a record has a dozen
// sizes, of which few are in use at a time: with 64 MiB all are there for the next sample.
inline constexpr size_t kSpareTensorBytes = size_t{64} << 20;

// Not thread-safe; stays on one thread.
class CalibrationBackend {
 public:
  // `threads` as TorchOptions::threads. `fast`: linear layers by oneDNN, with other last bits than without.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CalibrationBackend>> Create(int threads, bool fast);
  ~CalibrationBackend();

  // The weights of a StageRunner are this backend's.
  [[nodiscard]] Backend& backend();
  [[nodiscard]] TorchBackend& torch() { return *torch_; }
  [[nodiscard]] const Solver& solver() const { return *solver_; }
  // What tensors and the heap held and no longer use goes back to the system. To be called between parts of a job that
  // have different memory: what one part keeps for its next step would count as the other's.
  static void ReleaseMemory();
  // The library's version, which is part of what determines gradients and Gram matrices to the bit.
  [[nodiscard]] static std::string_view LibraryVersion();

 private:
  explicit CalibrationBackend(std::unique_ptr<TorchBackend> torch, int threads);
  const std::unique_ptr<TorchBackend> torch_;
  const std::unique_ptr<Solver> solver_;
};

}  // namespace gwq
