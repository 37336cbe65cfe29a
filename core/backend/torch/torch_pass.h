// Passes of TorchBackend. Use through torch_backend.h.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <optional>
#include <unordered_map>
#include <vector>

#include "core/backend/torch/seam.h"
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
  [[nodiscard]] Activation Apply(const Activation& x, const Linear& linear, std::optional<Gate> activation) override;
  [[nodiscard]] Activation Normalize(const Activation& x, const Norm& norm) override;
  [[nodiscard]] Activation AddRows(Activation x, const Weight& table, std::span<const int32_t> ids) override;
  [[nodiscard]] Activation Regroup(const Activation& x, std::span<const int32_t> order, int64_t group) override;
  [[nodiscard]] Activation AttendWithin(const Qkv& qkv, const SegmentAttention& attention) override;
  [[nodiscard]] absl::Status Read(const Activation& from, std::span<float> out) override;
  [[nodiscard]] absl::Status Finish() override { return status_; }

  [[nodiscard]] Activation DifferentiableInput(std::span<const float> values, int64_t width) override;
  [[nodiscard]] absl::Status Backward(Activation output, std::span<const float> output_gradient) override;
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
  // Rows of the table and of the batch's embeddings, by the batch's tokens.
  [[nodiscard]] at::Tensor EmbedTokens(const at::Tensor& table) const;
  // Throws unless x has the rows of the batch's sequences.
  void RequireBatchRows(const Activation& x, std::string_view what) const;
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
  std::unordered_map<int, KeysValues> own_layers_;  // if there is no cache: from Queries to Attend
};

template <class Body>
Activation TorchPass::Do(Body&& body) {
  if (!status_.ok()) return {};
  at::Tensor result;
  status_ = Guarded([&] {
    const c10::AutoGradMode grad_mode(recording_);
    result = body();
    return absl::OkStatus();
  });
  if (!status_.ok()) return {};
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<int>(slots_.size()));
    slots_.emplace_back();
  }
  const int slot = free_slots_.back();
  free_slots_.pop_back();
  const int64_t width = result.size(1);
  slots_[static_cast<size_t>(slot)] = std::move(result);
  return {this, slot, width};
}

}  // namespace gwq
