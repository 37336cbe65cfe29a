// What TorchBackend's weights and caches are, for its passes.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/backend/backend.h"
#include "core/backend/torch/input_gram.h"

namespace gwq {

class TorchWeight final : public Weight {
 public:
  explicit TorchWeight(at::Tensor values, bool one_dnn = false) : values_(std::move(values)), one_dnn_(one_dnn) {}
  [[nodiscard]] Shape shape() const override { return values_.sizes().vec(); }
  [[nodiscard]] uint64_t bytes() const override { return static_cast<uint64_t>(values_.numel()) * sizeof(float); }
  // Contiguous floats.
  [[nodiscard]] const at::Tensor& values() const { return values_; }
  // Whether linear layers with this weight are computed by oneDNN.
  [[nodiscard]] bool one_dnn() const { return one_dnn_; }

  // From now on every linear layer with this weight adds what it reads to gram(), of which there is the diagonal alone
  // where `diagonal` is set. `collector` outlives the weight; null: it stops.
  void CollectGram(GramCollector* collector, bool diagonal) const {
    collector_ = collector;
    diagonal_ = diagonal;
  }
  // Null before a layer ran. Frees the matrix where it is set to null.
  [[nodiscard]] std::shared_ptr<InputGram>& gram() const { return gram_; }
  void TellInput(const at::Tensor& input) const {
    if (collector_ != nullptr) collector_->Add(input, diagonal_, gram_);
  }

 private:
  at::Tensor values_;
  bool one_dnn_;
  // What is observed of a weight is no part of its value: passes see weights as constants.
  mutable GramCollector* collector_ = nullptr;
  mutable bool diagonal_ = false;
  mutable std::shared_ptr<InputGram> gram_;
};

// One row a token slot: block * block_tokens + index in the block.
class TorchKvCache final : public KvCache {
 public:
  struct Layer {
    at::Tensor keys, values;  // [blocks * block_tokens, kv_heads, head_dim]
  };
  TorchKvCache(const KvCacheShape& shape, std::vector<Layer> layers) : shape_(shape), layers_(std::move(layers)) {}
  [[nodiscard]] const KvCacheShape& shape() const override { return shape_; }
  [[nodiscard]] uint64_t bytes() const override {
    return static_cast<uint64_t>(2 * shape_.layers * shape_.blocks * shape_.block_tokens * shape_.kv_heads *
                                 shape_.head_dim) *
           sizeof(float);
  }
  [[nodiscard]] Layer& layer(int index) { return layers_[static_cast<size_t>(index)]; }

 private:
  const KvCacheShape shape_;
  std::vector<Layer> layers_;
};

// An uninitialised tensor of floats.
[[nodiscard]] at::Tensor EmptyFloats(at::IntArrayRef shape);
// A tensor with a copy of `values`. Throws.
[[nodiscard]] at::Tensor FloatsOf(std::span<const float> values, at::IntArrayRef shape);
[[nodiscard]] at::Tensor IndicesOf(const std::vector<int64_t>& values);

}  // namespace gwq
