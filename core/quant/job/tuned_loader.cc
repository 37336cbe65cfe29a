#include "core/quant/job/tuned_loader.h"

#include <utility>

#include "core/base/status.h"

namespace gwq {

TunedLoader::TunedLoader(const StoredModel& source, Backend& backend, const Plan& plan, const Packer& packer,
                         const Tensors& tensors)
    : source_(source),
      backend_(backend),
      packer_(packer),
      tensors_(tensors),
      untouched_(MakeWeightLoader(source, backend)) {
  for (const PlannedModule& module : plan.modules) modules_.emplace(module.tensor, &module);
}

absl::StatusOr<std::vector<float>> TunedLoader::Stored(const TensorSpec& spec) const {
  if (packer_.packed(spec.name)) return packer_.Values(*modules_.at(spec.name));
  GWQ_ASSIGN_OR_RETURN(const DenseTensor tensor, source_.Dense(spec.name));
  std::vector<float> values(static_cast<size_t>(tensor.view.elements()));
  ToFloat(tensor.view, 0, values);
  return values;
}

absl::StatusOr<std::shared_ptr<const Weight>> TunedLoader::Load(const TensorSpec& spec) {
  const auto tuned = tensors_.find(spec.name);
  if (tuned == tensors_.end() && !packer_.packed(spec.name)) return untouched_->Load(spec);
  if (const auto before = loaded_.find(spec.name); before != loaded_.end()) {
    if (std::shared_ptr<const Weight> alive = before->second.lock()) return alive;
  }
  GWQ_ASSIGN_OR_RETURN(std::vector<float> values, Stored(spec));
  if (tuned != tensors_.end()) tuned->second.Apply(values);
  const TensorView view{DType::kF32, MatrixShape(spec.shape), std::as_bytes(std::span<const float>(values))};
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const Weight> weight, backend_.LoadDense(view));
  loaded_[spec.name] = weight;
  if (tuned != tensors_.end()) values_[spec.name] = std::move(values);
  return weight;
}

std::span<const float> TunedLoader::ValuesOf(std::string_view tensor) const {
  const auto found = values_.find(tensor);
  return found == values_.end() ? std::span<const float>() : std::span<const float>(found->second);
}

}  // namespace gwq
