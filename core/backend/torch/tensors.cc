#include "core/backend/torch/tensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace gwq {

at::Tensor EmptyFloats(at::IntArrayRef shape) { return at::empty(shape, at::TensorOptions(at::kFloat)); }

at::Tensor FloatsOf(std::span<const float> values, at::IntArrayRef shape) {
  at::Tensor tensor = EmptyFloats(shape);
  std::ranges::copy(values, tensor.mutable_data_ptr<float>());
  return tensor;
}

at::Tensor IndicesOf(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::TensorOptions(at::kLong));
  std::ranges::copy(values, tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

}  // namespace gwq
