#include "core/quant/job/tuned_loader.h"

#include <utility>

#include "core/base/status.h"
#include "core/format/affine_view.h"

namespace gwq {

TunedLoader::TunedLoader(const StoredModel& source, Backend& backend, const Plan& plan, const Packer& packer,
                         const Tensors& tensors, ThreadPool& pool)
    : source_(source),
      backend_(backend),
      packer_(packer),
      tensors_(tensors),
      pool_(pool),
      untouched_(MakeWeightLoader(source, backend)) {
  for (const PlannedModule& module : plan.modules) modules_.emplace(module.tensor, &module);
}

absl::StatusOr<std::vector<float>> TunedLoader::Values(const TensorSpec& spec, const TunedTensor* tuned) const {
  if (packer_.packed(spec.name)) {
    const PlannedModule& module = *modules_.at(spec.name);
    if (tuned == nullptr) return packer_.Values(module);
    GWQ_ASSIGN_OR_RETURN(const PackedTensor stored, packer_.Stored(module));
    GWQ_ASSIGN_OR_RETURN(const AffineView view, AffineView::Of(stored.view));
    std::vector<float> values(module.weights);
    tuned->Values(view, pool_, values);
    return values;
  }
  GWQ_ASSIGN_OR_RETURN(const DenseTensor tensor, source_.Dense(spec.name));
  std::vector<float> values(static_cast<size_t>(tensor.view.elements()));
  ToFloat(tensor.view, 0, values);
  if (tuned != nullptr) tuned->Apply(values);
  return values;
}

absl::StatusOr<std::shared_ptr<const Weight>> TunedLoader::Load(const TensorSpec& spec) {
  const auto found = tensors_.find(spec.name);
  const TunedTensor* const tuned = found == tensors_.end() ? nullptr : &found->second;
  if (tuned == nullptr && !packer_.packed(spec.name)) return untouched_->Load(spec);
  if (const auto before = loaded_.find(spec.name); before != loaded_.end()) {
    if (std::shared_ptr<const Weight> alive = before->second.lock()) return alive;
  }
  GWQ_ASSIGN_OR_RETURN(std::vector<float> values, Values(spec, tuned));
  const TensorView view{DType::kF32, MatrixShape(spec.shape), std::as_bytes(std::span<const float>(values))};
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const Weight> weight, backend_.LoadDense(view));
  loaded_[spec.name] = weight;
  if (tuned != nullptr) values_[spec.name] = std::move(values);
  return weight;
}

std::span<const float> TunedLoader::ValuesOf(std::string_view tensor) const {
  const auto found = values_.find(tensor);
  return found == values_.end() ? std::span<const float>() : std::span<const float>(found->second);
}

}  // namespace gwq
