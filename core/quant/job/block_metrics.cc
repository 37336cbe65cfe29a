#include "core/quant/job/block_metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/base/status.h"
#include "core/calibration/walk_record.h"

namespace gwq {
namespace {

// The share of the identity: a direction that the gradient pass did not see still counts.
constexpr double kRidge = 0.01;

}  // namespace

absl::Status BlockMetrics::Add(int stage, int64_t width, std::span<const float> gradient) {
  if (stage_ != stage) {
    GWQ_RETURN_IF_ERROR(Finish(nullptr, NoProgress()));
    stage_ = stage;
    sum_.assign(static_cast<size_t>(width * width), 0.0F);
  }
  return solver_.AddGram(gradient, width, sum_);
}

absl::Status BlockMetrics::Finish(BlobStore* keep, Progress& progress) {
  if (!stage_.has_value()) return absl::OkStatus();
  const int stage = *std::exchange(stage_, std::nullopt);
  GWQ_RETURN_IF_ERROR(done_.Put(stage, 0, std::move(sum_)));
  sum_ = {};
  if (keep == nullptr) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(blobs_[stage], StoreStates(*keep, done_, stage, 1, progress));
  return absl::OkStatus();
}

absl::Status BlockMetrics::Load(BlobStore& store, const std::map<int, Digest>& blobs, Progress& progress) {
  for (const auto& [stage, blob] : blobs) {
    GWQ_RETURN_IF_ERROR(LoadStates(store, blob, stage, 1, done_, progress));
  }
  blobs_ = blobs;
  return absl::OkStatus();
}

absl::StatusOr<Digest> BlockMetrics::Copy(BlobStore& store, int stage, Progress& progress) const {
  return StoreStates(store, done_, stage, 1, progress);
}

absl::Status BlockMetrics::Take(BlobStore& store, const std::map<int, Digest>& blobs, BlobStore* keep,
                                Progress& progress) {
  GWQ_RETURN_IF_ERROR(Load(store, blobs, progress));
  blobs_.clear();
  if (keep == nullptr) return absl::OkStatus();
  for (const auto& [stage, blob] : blobs) {
    GWQ_ASSIGN_OR_RETURN(blobs_[stage], Copy(*keep, stage, progress));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> BlockMetrics::Get(int stage) const {
  if (!done_.Holds(stage, 0)) return std::vector<float>();
  GWQ_ASSIGN_OR_RETURN(std::vector<float> metric, done_.Get(stage, 0));
  const auto width = static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(metric.size()))));
  double trace = 0;
  for (size_t i = 0; i < width; ++i) trace += metric[i * width + i];
  if (!std::isfinite(trace)) {
    return absl::FailedPreconditionError(fmt::format(
        "the gradients at the output of stage {} are not finite: the calibration sample drives the model out "
        "of range; use another sample, or tuned.metric_samples 0",
        stage));
  }
  if (!(trace > 0)) return std::vector<float>();
  const double factor = static_cast<double>(width) / trace;
  for (float& value : metric) value = static_cast<float>(value * factor);
  for (size_t i = 0; i < width; ++i) metric[i * width + i] += static_cast<float>(kRidge);
  return metric;
}

}  // namespace gwq
