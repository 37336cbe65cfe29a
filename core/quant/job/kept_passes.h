// Gradient passes that earlier jobs kept, in the place of this job's own.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/quant/job/block_metrics.h"
#include "core/quant/job/calibrated_packing.h"

namespace gwq {

// Looks for what a pass would find, and keeps what a pass found. A record that cannot be used, or not be kept, costs
// time and nothing else: the log tells, and only CANCELLED and ABORTED are returned. Samples with images have no
// records. Not thread-safe.
class KeptPasses {
 public:
  // `job` outlives it.
  explicit KeptPasses(const CalibratedPacking& job);

  // Whether all that the Fisher pass would find was kept: losses and metrics are then where it would have put them,
  // the metrics also as the job's own scratch blobs in `own` (null: nowhere).
  [[nodiscard]] absl::StatusOr<bool> TakeFisher(JobPosition& position, BlockMetrics& metrics, BlobStore* own);
  [[nodiscard]] absl::Status KeepFisher(const FormLosses& losses, const BlockMetrics& metrics);

  // Whether the gradients of all matrices that need one were kept: the matrices are then packed.
  [[nodiscard]] absl::StatusOr<bool> TakeGradients(JobPosition& position);
  // Stores the gradient of a walk that may be kept; `blobs` gets it.
  [[nodiscard]] absl::Status AddGradient(std::string_view tensor, std::span<const float> gradient,
                                         std::map<std::string, Digest>& blobs);
  // A walk that is done.
  [[nodiscard]] absl::Status KeepGradients(double loss, const MaskOverlap& overlap,
                                           const std::map<std::string, Digest>& blobs);

 private:
  // None if there is no record, or it cannot be read.
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey& key);
  [[nodiscard]] absl::Status Save(const PassKey& key, const Checkpoint& record);
  [[nodiscard]] absl::Status Tell(std::string_view what, const absl::Status& status) const;
  [[nodiscard]] absl::Status ReadMetrics(const Checkpoint& record, std::map<int, Digest>& blobs) const;
  [[nodiscard]] absl::Status ReadGradients(const Checkpoint& record, std::map<std::string, Digest>& blobs) const;
  [[nodiscard]] absl::Status PackKept(const std::map<std::string, Digest>& blobs);
  [[nodiscard]] absl::Status KeepMetrics(const BlockMetrics& metrics);

  const CalibratedPacking& job_;
  bool gradients_fit_ = false;  // whether a record of all gradients may be kept
};

}  // namespace gwq
