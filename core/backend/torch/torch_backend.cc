#include "core/backend/torch/torch_backend.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <utility>

#include "core/backend/torch/input_gram.h"
#include "core/backend/torch/seam.h"
#include "core/backend/torch/tensors.h"
#include "core/backend/torch/torch_pass.h"

namespace gwq {
namespace {

constexpr int kMaxThreads = 1024;

absl::StatusOr<const TorchWeight*> OwnWeight(const Weight& weight) {
  const auto* own = dynamic_cast<const TorchWeight*>(&weight);
  if (own == nullptr) return absl::InvalidArgumentError("the weight is not of this backend");
  return own;
}

std::span<const float> SpanOf(const at::Tensor& values) {
  return {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())};
}

}  // namespace

TorchBackend::TorchBackend(const TorchOptions& options)
    : options_(options), grams_(std::make_unique<GramCollector>()) {}
TorchBackend::~TorchBackend() = default;

absl::StatusOr<std::unique_ptr<TorchBackend>> TorchBackend::Create(const TorchOptions& options) {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return InvalidField("threads", fmt::format("is {}, must be from 1 to {}", options.threads, kMaxThreads));
  }
  return std::unique_ptr<TorchBackend>(new TorchBackend(options));
}

std::string_view TorchBackend::Version() { return TORCH_VERSION; }

absl::StatusOr<std::unique_ptr<Weight>> TorchBackend::LoadDense(const TensorView& view) {
  if (!IsWeightType(view.type) || view.shape.empty() || view.shape.size() > 2) {
    return absl::InvalidArgumentError(
        fmt::format("a weight must be F32, F16 or BF16 with one or two dimensions, is {} "
                    "{}",
                    DTypeName(view.type), ShapeString(view.shape)));
  }
  GWQ_ASSIGN_OR_RETURN(const int64_t elements, ElementCount(view.shape));
  if (elements != view.elements()) {
    return absl::InvalidArgumentError(
        fmt::format("shape {} needs {} elements, there are {}", ShapeString(view.shape), elements, view.elements()));
  }
  std::unique_ptr<Weight> weight;
  GWQ_RETURN_IF_ERROR(Guarded([&] {
    at::Tensor values = EmptyFloats(view.shape);
    ToFloat(view, 0, {values.mutable_data_ptr<float>(), static_cast<size_t>(elements)});
    weight = std::make_unique<TorchWeight>(std::move(values), options_.linear == LinearLibrary::kOneDnn);
    return absl::OkStatus();
  }));
  return weight;
}

absl::StatusOr<std::unique_ptr<Weight>> TorchBackend::LoadPacked(const PackedView& view) {
  std::unique_ptr<Weight> weight;
  GWQ_RETURN_IF_ERROR(Guarded([&] {
    at::Tensor values = EmptyFloats({view.shape().rows, view.shape().cols});
    view.DequantizeAll({values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
    weight = std::make_unique<TorchWeight>(std::move(values), options_.linear == LinearLibrary::kOneDnn);
    return absl::OkStatus();
  }));
  return weight;
}

absl::StatusOr<std::unique_ptr<KvCache>> TorchBackend::CreateKvCache(const KvCacheShape& shape) {
  GWQ_RETURN_IF_ERROR(
      ElementCount({shape.layers, shape.blocks, shape.block_tokens, shape.kv_heads, shape.head_dim, 8}).status());
  std::unique_ptr<KvCache> cache;
  GWQ_RETURN_IF_ERROR(Guarded([&] {
    std::vector<TorchKvCache::Layer> layers;
    for (int i = 0; i < shape.layers; ++i) {
      const auto zeros = [&] {
        return at::zeros({shape.blocks * shape.block_tokens, shape.kv_heads, shape.head_dim},
                         at::TensorOptions(at::kFloat));
      };
      layers.push_back({zeros(), zeros()});
    }
    cache = std::make_unique<TorchKvCache>(shape, std::move(layers));
    return absl::OkStatus();
  }));
  return cache;
}

absl::StatusOr<std::unique_ptr<Pass>> TorchBackend::Begin(const Batch& batch, KvCache* cache) {
  auto* own = dynamic_cast<TorchKvCache*>(cache);
  if (own == nullptr && cache != nullptr) return absl::InvalidArgumentError("the cache is not of this backend");
  GWQ_RETURN_IF_ERROR(CheckBatch(batch, own != nullptr ? own->shape() : KvCacheShape()));
  at::set_num_threads(options_.threads);
  return std::make_unique<TorchPass>(batch, own, /*recording=*/false);
}

absl::StatusOr<std::unique_ptr<GradientPass>> TorchBackend::BeginGradient(const Batch& batch) {
  GWQ_RETURN_IF_ERROR(CheckBatch(batch, KvCacheShape()));
  at::set_num_threads(options_.threads);
  return std::make_unique<TorchPass>(batch, nullptr, /*recording=*/true);
}

absl::Status TorchBackend::WantGradient(const Weight& weight) {
  GWQ_ASSIGN_OR_RETURN(const TorchWeight* const own, OwnWeight(weight));
  return Guarded([&] {
    own->values().set_requires_grad(true);
    return absl::OkStatus();
  });
}

absl::StatusOr<std::span<const float>> TorchBackend::GradientOf(const Weight& weight) const {
  GWQ_ASSIGN_OR_RETURN(const TorchWeight* const own, OwnWeight(weight));
  const at::Tensor& gradient = own->values().grad();
  if (!gradient.defined()) {
    return absl::FailedPreconditionError("no gradient was computed for this weight: ask with WantGradient first");
  }
  // Autograd lays a leaf's gradient out as the leaf itself.
  if (!gradient.is_contiguous()) return absl::InternalError("LibTorch: a gradient is not laid out as its weight");
  return SpanOf(gradient);
}

void TorchBackend::DropGradient(const Weight& weight) {
  const auto* own = dynamic_cast<const TorchWeight*>(&weight);
  if (own != nullptr) own->values().mutable_grad() = at::Tensor();
}

absl::Status TorchBackend::CollectGram(const Weight& weight, GramKind kind) {
  GWQ_ASSIGN_OR_RETURN(const TorchWeight* const own, OwnWeight(weight));
  own->CollectGram(kind == GramKind::kNone ? nullptr : grams_.get(), kind == GramKind::kDiagonal);
  return absl::OkStatus();
}

absl::StatusOr<std::span<const float>> TorchBackend::GramOf(const Weight& weight) const {
  GWQ_ASSIGN_OR_RETURN(const TorchWeight* const own, OwnWeight(weight));
  if (own->gram() == nullptr) {
    return absl::FailedPreconditionError("no layer has read anything for this weight: ask with CollectGram first");
  }
  return SpanOf(own->gram()->sum);
}

void TorchBackend::PauseGram(const Weight& weight) {
  const auto* own = dynamic_cast<const TorchWeight*>(&weight);
  if (own != nullptr) own->CollectGram(nullptr, false);
  grams_->Forget();
}

void TorchBackend::DropGram(const Weight& weight) {
  PauseGram(weight);
  const auto* own = dynamic_cast<const TorchWeight*>(&weight);
  if (own != nullptr) own->gram() = nullptr;
}

absl::Status TorchBackend::SetValues(const Weight& weight, std::span<const float> values) {
  GWQ_ASSIGN_OR_RETURN(const TorchWeight* const own, OwnWeight(weight));
  if (static_cast<int64_t>(values.size()) != own->values().numel()) {
    return absl::InvalidArgumentError(
        fmt::format("{} values for a weight of {}", values.size(), own->values().numel()));
  }
  std::ranges::copy(values, own->values().mutable_data_ptr<float>());
  return absl::OkStatus();
}

}  // namespace gwq
