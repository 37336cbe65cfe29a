// How much each direction of a stage's output matters to the model's own prediction.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/solver.h"
#include "core/base/progress.h"
#include "core/calibration/state_store.h"
#include "core/storage/blob_store.h"

namespace gwq {

// For each stage the sum over tokens of g g^T, with g the gradient of the loss with respect to the stage's output: its
// share of the Fisher information where the labels are drawn (core/calibration/loss.h). One stage at a time is added
// to. Not thread-safe.
class BlockMetrics {
 public:
  // `solver` outlives it.
  explicit BlockMetrics(const Solver& solver) : solver_(solver), done_(kMemory) {}

  // Rows of gradients [n, width].
  [[nodiscard]] absl::Status Add(int stage, int64_t width, std::span<const float> gradient);
  // Ends the stage that was added to, if there is one. With a store its sum goes there too, as a scratch blob.
  [[nodiscard]] absl::Status Finish(BlobStore* keep, Progress& progress);
  // The blobs that Finish stored, by stage, and what an earlier attempt had stored.
  [[nodiscard]] const std::map<int, Digest>& blobs() const { return blobs_; }
  [[nodiscard]] absl::Status Load(BlobStore& store, const std::map<int, Digest>& blobs, Progress& progress);
  // The sum of a stage as another scratch blob, for who outlives the job.
  [[nodiscard]] bool Holds(int stage) const { return done_.Holds(stage, 0); }
  [[nodiscard]] absl::StatusOr<Digest> Copy(BlobStore& store, int stage, Progress& progress) const;
  // Like Load, of blobs that are not the job's own; with `keep` they are stored again as such.
  [[nodiscard]] absl::Status Take(BlobStore& store, const std::map<int, Digest>& blobs, BlobStore* keep,
                                  Progress& progress);

  // The metric of a stage, [width, width]: the sum divided by its mean diagonal, and a hundredth of the identity added.
  // Empty if the stage has none: then all directions matter the same. FAILED_PRECONDITION if it is not finite.
  [[nodiscard]] absl::StatusOr<std::vector<float>> Get(int stage) const;

 private:
  static constexpr uint64_t kMemory = uint64_t{64} << 20;  // of the sums held in memory; the rest is in a file

  const Solver& solver_;
  std::optional<int> stage_;
  std::vector<float> sum_;
  StateStore done_;
  std::map<int, Digest> blobs_;
};

}  // namespace gwq
