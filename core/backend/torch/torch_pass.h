// Passes of TorchBackend. Use through torch_backend.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <vector>

#include "core/backend/torch/tensors.h"
#include "core/backend/torch/torch_backend.h"

namespace gwq {

class TorchPass final : public GradientPass {
 public:
  // The batch is checked. `cache` may be null; it is where `recording`.
  TorchPass(const Batch& batch, TorchKvCache* cache, bool recording)
      : batch_(batch), cache_(cache), recording_(recording) {}

  [[nodiscard]] const Batch& batch() const override { return batch_; }
  [[nodiscard]] Activation Embed(const Weight& table) override;
  [[nodiscard]] Activation Input(std::span<const float> values, int64_t width) override;
  [[nodiscard]] Activation Queries(int cache_layer, const Activation& x, const Norm& norm, const Linear& q,
                                   const Linear& k, const Linear& v, const Rope& rope,
                                   const AttentionShape& shape) override;
  [[nodiscard]] Activation Attend(int cache_layer, const Activation& queries, const AttentionShape& shape) override;
  [[nodiscard]] Activation AddLinear(Activation residual, const Activation& x, const Linear& linear) override;
  [[nodiscard]] Activation GatedUp(const Activation& x, const Norm& norm, const Linear& gate, const Linear& up,
                                   Gate kind) override;
  [[nodiscard]] Activation Head(const Activation& x, const Norm& norm, const Linear& head) override;
  [[nodiscard]] absl::Status Read(const Activation& from, std::span<float> out) override;
  [[nodiscard]] absl::Status Finish() override { return status_; }

  [[nodiscard]] Activation DifferentiableInput(std::span<const float> values, int64_t width) override;
  [[nodiscard]] absl::Status Backward(Activation output, std::span<const float> output_gradient) override;
  [[nodiscard]] absl::StatusOr<double> LossBackward(Activation logits, int64_t positions) override;
  [[nodiscard]] absl::Status InputGradient(std::span<float> out) override;

 private:
  struct KeysValues {
    at::Tensor keys, values;  // [tokens, kv_heads, head_dim]
  };

  void Release(int slot) override;
  // The activation of the matrix that `body` returns; an empty one where an error is kept or it throws one.
  template <class Body>
  Activation Do(Body&& body);
  [[nodiscard]] at::Tensor InputTensor(std::span<const float> values, int64_t width) const;
  // The tensor of an activation of this pass. Throws.
  [[nodiscard]] const at::Tensor& At(const Activation& activation) const;
  void StoreKeysValues(int cache_layer, at::Tensor keys, at::Tensor values);
  [[nodiscard]] KeysValues LoadKeysValues(int cache_layer, const SequenceRows& sequence) const;

  const Batch batch_;
  TorchKvCache* const cache_;
  const bool recording_;
  absl::Status status_;
  std::vector<at::Tensor> slots_;
  std::vector<int> free_slots_;
  at::Tensor input_;                                // of DifferentiableInput
  std::unordered_map<int, KeysValues> own_layers_;  // where there is no cache: from Queries to Attend
};

}  // namespace gwq
