#include <fmt/format.h>

#include <unordered_map>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"

namespace gwq {
namespace {

class StoredWeightLoader final : public WeightLoader {
 public:
  StoredWeightLoader(const StoredModel& source, Backend& backend) : source_(source), backend_(backend) {}

  absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override {
    if (std::shared_ptr<const Weight> alive = alive_[spec.name].lock()) return alive;
    const ManifestTensor* const tensor = source_.Find(spec.name);
    if (tensor == nullptr) return absl::NotFoundError(fmt::format("the model has no tensor {}", spec.name));
    const Shape stored = tensor->packed ? Shape{tensor->packed->rows, tensor->packed->cols} : tensor->shape;
    if (stored != (tensor->packed ? MatrixShape(spec.shape) : spec.shape)) {
      return absl::InvalidArgumentError(fmt::format("tensor {} is stored as {}, the configuration makes it {}",
                                                    spec.name, ShapeString(stored), ShapeString(spec.shape)));
    }
    absl::StatusOr<std::unique_ptr<Weight>> loaded = tensor->packed ? LoadPacked(spec.name) : LoadDense(spec.name);
    if (!loaded.ok()) return Annotate(loaded.status(), spec.name);
    std::shared_ptr<const Weight> weight = *std::move(loaded);
    alive_[spec.name] = weight;
    return weight;
  }

 private:
  absl::StatusOr<std::unique_ptr<Weight>> LoadDense(const std::string& name) {
    GWQ_ASSIGN_OR_RETURN(DenseTensor tensor, source_.Dense(name));
    tensor.view.shape = MatrixShape(tensor.view.shape);
    auto weight = backend_.LoadDense(tensor.view);
    tensor.blob->DropPages();
    return weight;
  }

  absl::StatusOr<std::unique_ptr<Weight>> LoadPacked(const std::string& name) {
    GWQ_ASSIGN_OR_RETURN(const PackedTensor tensor, source_.Packed(name));
    auto weight = backend_.LoadPacked(tensor.view);
    tensor.blob->DropPages();
    return weight;
  }

  const StoredModel& source_;
  Backend& backend_;
  std::unordered_map<std::string, std::weak_ptr<const Weight>> alive_;
};

}  // namespace

std::unique_ptr<WeightLoader> MakeWeightLoader(const StoredModel& source, Backend& backend) {
  return std::make_unique<StoredWeightLoader>(source, backend);
}

}  // namespace gwq
