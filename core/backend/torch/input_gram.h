// The Gram matrix of what a linear layer reads. Private to TorchBackend.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace gwq {

// The sum over all rows x that were added of the outer product x x^T, [width, width], in single precision, or its
// diagonal, [width].
struct InputGram {
  at::Tensor sum;
  bool diagonal = false;
};

// Adds what linear layers read to their Gram matrices. Layers that read the very same tensor one after the other
// (queries, keys and values; gate and up) share one matrix, which is computed once. Not thread-safe.
class GramCollector {
 public:
  // Adds the rows of `input` [rows, width] to `gram`, which is null before the first call for its weight. Throws.
  void Add(const at::Tensor& input, bool diagonal, std::shared_ptr<InputGram>& gram);
  // Forgets the last input, so that its memory is free.
  void Forget();

 private:
  at::Tensor last_input_;
  std::shared_ptr<InputGram> last_gram_;
};

}  // namespace gwq
