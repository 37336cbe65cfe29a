// What TorchBackend's weights and caches are, for its passes.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <utility>
#include <vector>

#include "core/backend/backend.h"

namespace gwq {

class TorchWeight final : public Weight {
 public:
  explicit TorchWeight(at::Tensor values) : values_(std::move(values)) {}
  [[nodiscard]] Shape shape() const override { return values_.sizes().vec(); }
  [[nodiscard]] uint64_t bytes() const override { return static_cast<uint64_t>(values_.numel()) * sizeof(float); }
  // Contiguous floats.
  [[nodiscard]] const at::Tensor& values() const { return values_; }

 private:
  at::Tensor values_;
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
