// Weights of the model as it is being tuned.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/models/weight_loader.h"
#include "core/quant/job/packer.h"
#include "core/quant/plan.h"
#include "core/quant/tuned/tuned_tensor.h"

namespace gwq {

// Packed matrices as they will be read back, with their tuned scales; what is not packed as the source has it. Not
// thread-safe.
class TunedLoader final : public WeightLoader {
 public:
  using Tensors = std::map<std::string, TunedTensor, std::less<>>;

  // All outlive it.
  TunedLoader(const StoredModel& source, Backend& backend, const Plan& plan, const Packer& packer,
              const Tensors& tensors, ThreadPool& pool);
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override;

  // The values of a tuned tensor as they were loaded last. Those of others are not kept.
  [[nodiscard]] std::span<const float> ValuesOf(std::string_view tensor) const;
  // Frees them, once their stage is done.
  void DropValues() { values_.clear(); }

 private:
  [[nodiscard]] absl::StatusOr<std::vector<float>> Values(const TensorSpec& spec, const TunedTensor* tuned) const;

  const StoredModel& source_;
  Backend& backend_;
  std::map<std::string_view, const PlannedModule*> modules_;
  const Packer& packer_;
  const Tensors& tensors_;
  ThreadPool& pool_;
  const std::unique_ptr<WeightLoader> untouched_;
  std::map<std::string, std::vector<float>, std::less<>> values_;
  std::map<std::string, std::weak_ptr<const Weight>, std::less<>> loaded_;
};

}  // namespace gwq
