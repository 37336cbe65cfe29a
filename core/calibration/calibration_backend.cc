#include "core/calibration/calibration_backend.h"

#include <malloc.h>

#include <utility>

#include "core/backend/torch/tensor_memory.h"
#include "core/backend/torch/torch_backend.h"
#include "core/backend/torch/torch_solver.h"
#include "core/base/status.h"

namespace gwq {
namespace {

// glibc before 2.38 cannot use the hole of an aligned block for the next aligned block of its size (sourceware bug
// 14581). A walk over 128 samples grew by nearly all that it had ever freed: 9.7 GB after half of a 1.1B model. Tensors
// have a cache of their own; other blocks of this size and more are mapped, and are gone when they are freed.
constexpr int kMappedBytes = 1 << 20;

}  // namespace

CalibrationBackend::CalibrationBackend(std::unique_ptr<TorchBackend> torch, int threads)
    : torch_(std::move(torch)), solver_(std::make_unique<TorchSolver>(threads)) {}
CalibrationBackend::~CalibrationBackend() = default;

absl::StatusOr<std::unique_ptr<CalibrationBackend>> CalibrationBackend::Create(int threads, bool fast) {
  mallopt(M_MMAP_THRESHOLD, kMappedBytes);
  KeepTensorMemory(kSpareTensorBytes);
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<TorchBackend> torch,
                       TorchBackend::Create({threads, fast ? LinearLibrary::kOneDnn : LinearLibrary::kDefault}));
  return std::unique_ptr<CalibrationBackend>(new CalibrationBackend(std::move(torch), threads));
}

void CalibrationBackend::ReleaseMemory() {
  ReleaseTensorMemory();
  malloc_trim(0);
}

Backend& CalibrationBackend::backend() { return *torch_; }

std::string_view CalibrationBackend::LibraryVersion() { return TorchBackend::Version(); }

}  // namespace gwq
