#include "core/calibration/calibration_backend.h"

#include <utility>

#include "core/backend/torch/torch_backend.h"
#include "core/backend/torch/torch_solver.h"
#include "core/base/status.h"

namespace gwq {

CalibrationBackend::CalibrationBackend(std::unique_ptr<TorchBackend> torch, int threads)
    : torch_(std::move(torch)), solver_(std::make_unique<TorchSolver>(threads)) {}
CalibrationBackend::~CalibrationBackend() = default;

absl::StatusOr<std::unique_ptr<CalibrationBackend>> CalibrationBackend::Create(int threads) {
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<TorchBackend> torch, TorchBackend::Create({threads}));
  return std::unique_ptr<CalibrationBackend>(new CalibrationBackend(std::move(torch), threads));
}

Backend& CalibrationBackend::backend() { return *torch_; }

std::string_view CalibrationBackend::LibraryVersion() { return TorchBackend::Version(); }

}  // namespace gwq
