// Matrix products by oneDNN, which LibTorch has beside MKL. MKL takes its AVX2 kernels on processors of other makers,
// oneDNN those for AVX-512: on a Zen 5 it is twice as fast.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace gwq {

// x W^T + b, with autograd. Throws. Where LibTorch was built without oneDNN, at::linear.
[[nodiscard]] at::Tensor OneDnnLinear(const at::Tensor& x, const at::Tensor& weight,
                                      const std::optional<at::Tensor>& bias);

}  // namespace gwq
