// Texts that grow side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/models/model.h"

namespace gwq {

// Not thread-safe. Memory: a stage, and the cache of all texts.
class TextBatch {
 public:
  // `texts` texts of at most `length` tokens each. All arguments outlive the batch.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TextBatch>> Create(const Model& model, WeightLoader& loader,
                                                                         Backend& backend, size_t texts, int64_t length,
                                                                         Progress& progress);

  // Runs the last token of every text through all stages, which are loaded one by one. Called once for each token, so
  // that those before are in the cache. `logits` is [texts, vocabulary].
  [[nodiscard]] absl::Status Forward(const std::vector<std::vector<int32_t>>& texts, std::span<float> logits);

 private:
  TextBatch(const Model& model, WeightLoader& loader, Backend& backend, Progress& progress)
      : model_(model), loader_(loader), backend_(backend), progress_(progress) {}

  const Model& model_;
  WeightLoader& loader_;
  Backend& backend_;
  Progress& progress_;
  std::vector<int32_t> blocks_;  // of all texts
  size_t blocks_per_text_ = 0;
  std::unique_ptr<KvCache> cache_;
};

}  // namespace gwq
