#include "core/backend/torch/torch_pass.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/backend/torch/layers.h"
#include "core/backend/torch/seam.h"

namespace gwq {
namespace {

// Cache rows of tokens [begin, end) of a sequence.
std::vector<int64_t> TokenSlots(const SequenceRows& sequence, int64_t begin, int64_t end, int64_t block_tokens) {
  std::vector<int64_t> slots;
  for (int64_t token = begin; token < end; ++token) {
    const int64_t block = sequence.blocks[static_cast<size_t>(token / block_tokens)];
    slots.push_back(block * block_tokens + token % block_tokens);
  }
  return slots;
}

}  // namespace

const at::Tensor& TorchPass::At(const Activation& activation) const {
  Require(activation.valid(), "the activation is empty");
  return slots_[static_cast<size_t>(activation.slot())];
}

void TorchPass::Release(int slot) {
  slots_[static_cast<size_t>(slot)] = at::Tensor();
  free_slots_.push_back(slot);
}

Activation TorchPass::Embed(const Weight& table) {
  return Do([&] {
    const at::Tensor& values = ValuesOf(&table);
    Require(values.dim() == 2, "embed: the table is not a matrix");
    return batch_.tokens.empty() ? InputTensor(batch_.embeddings, values.size(1)) : EmbedTokens(values);
  });
}

at::Tensor TorchPass::EmbedTokens(const at::Tensor& table) const {
  if (const absl::Status status = CheckTokens(batch_, table.size(0), table.size(1)); !status.ok()) {
    throw StatusError(status);
  }
  std::vector<int64_t> text, image, place;
  for (const int32_t token : batch_.tokens) {
    std::vector<int64_t>& part = token < 0 ? image : text;
    const auto index = static_cast<int64_t>(part.size());
    place.push_back(token < 0 ? ~index : index);
    part.push_back(token < 0 ? ~token : token);
  }
  const at::Tensor rows = at::index_select(table, 0, IndicesOf(text));
  if (image.empty()) return rows;
  const int64_t count = static_cast<int64_t>(batch_.embeddings.size()) / table.size(1);
  const at::Tensor images = at::index_select(FloatsOf(batch_.embeddings, {count, table.size(1)}), 0, IndicesOf(image));
  for (int64_t& at : place) at = at < 0 ? static_cast<int64_t>(text.size()) + ~at : at;
  return at::index_select(at::cat({rows, images}, 0), 0, IndicesOf(place));
}

void TorchPass::RequireBatchRows(const Activation& x, std::string_view what) const {
  Require(At(x).size(0) == batch_.rows && !batch_.sequences.empty(),
          "{}: {} rows, wants those of the batch's sequences", what, At(x).size(0));
}

at::Tensor TorchPass::InputTensor(std::span<const float> values, int64_t width) const {
  Require(static_cast<int64_t>(values.size()) == batch_.rows * width, "input: {} floats for {} rows of {}",
          values.size(), batch_.rows, width);
  return FloatsOf(values, {batch_.rows, width});
}

Activation TorchPass::Input(std::span<const float> values, int64_t width) {
  return Do([&] { return InputTensor(values, width); });
}

Activation TorchPass::DifferentiableInput(std::span<const float> values, int64_t width) {
  Activation input = Input(values, width);
  if (status_.ok()) input_ = At(input).set_requires_grad(true);
  return input;
}

Activation TorchPass::Queries(int cache_layer, const Activation& x, const Norm& norm, const Linear& q, const Linear& k,
                              const Linear& v, const Rope& rope, const AttentionShape& shape) {
  return Do([&] {
    RequireBatchRows(x, "queries");
    const at::Tensor normed = Normalized(At(x), norm);
    const RotaryTables tables = MakeRotaryTables(batch_, rope);
    const auto heads = [&](const Linear& linear, int64_t count) {
      return ApplyLinear(normed, linear).view({batch_.rows, count, shape.head_dim});
    };
    StoreKeysValues(cache_layer, Rotate(heads(k, shape.kv_heads), tables), heads(v, shape.kv_heads));
    return Rotate(heads(q, shape.heads), tables).view({batch_.rows, shape.heads * shape.head_dim});
  });
}

void TorchPass::StoreKeysValues(int cache_layer, at::Tensor keys, at::Tensor values) {
  if (cache_ == nullptr) {
    own_layers_[cache_layer] = {std::move(keys), std::move(values)};
    return;
  }
  Require(cache_layer >= 0 && cache_layer < cache_->shape().layers, "queries: cache layer {} of {}", cache_layer,
          cache_->shape().layers);
  std::vector<int64_t> slots;
  for (const SequenceRows& sequence : batch_.sequences) {
    const std::vector<int64_t> part =
        TokenSlots(sequence, sequence.context, sequence.context + sequence.rows, cache_->shape().block_tokens);
    slots.insert(slots.end(), part.begin(), part.end());
  }
  const at::Tensor index = IndicesOf(slots);
  TorchKvCache::Layer& layer = cache_->layer(cache_layer);
  layer.keys.index_copy_(0, index, keys);
  layer.values.index_copy_(0, index, values);
}

TorchPass::KeysValues TorchPass::LoadKeysValues(int cache_layer, const SequenceRows& sequence) const {
  if (cache_ == nullptr) {
    const auto found = own_layers_.find(cache_layer);
    Require(found != own_layers_.end(), "attend: the keys of layer {} were not computed", cache_layer);
    return {found->second.keys.narrow(0, sequence.first_row, sequence.rows),
            found->second.values.narrow(0, sequence.first_row, sequence.rows)};
  }
  const at::Tensor index =
      IndicesOf(TokenSlots(sequence, 0, sequence.context + sequence.rows, cache_->shape().block_tokens));
  const TorchKvCache::Layer& layer = cache_->layer(cache_layer);
  return {at::index_select(layer.keys, 0, index), at::index_select(layer.values, 0, index)};
}

Activation TorchPass::Attend(int cache_layer, const Activation& queries, const AttentionShape& shape) {
  return Do([&] {
    RequireBatchRows(queries, "attend");
    const at::Tensor heads = At(queries).view({batch_.rows, shape.heads, shape.head_dim});
    std::vector<at::Tensor> parts;
    for (const SequenceRows& sequence : batch_.sequences) {
      const auto [keys, values] = LoadKeysValues(cache_layer, sequence);
      parts.push_back(CausalAttention(heads.narrow(0, sequence.first_row, sequence.rows), keys, values, shape.scale));
    }
    own_layers_.erase(cache_layer);
    return parts.size() == 1 ? parts[0] : at::cat(parts, 0);
  });
}

Activation TorchPass::AddLinear(Activation residual, const Activation& x, const Linear& linear) {
  return Do([&] { return At(residual).add(ApplyLinear(At(x), linear)); });
}

Activation TorchPass::GatedUp(const Activation& x, const Norm& norm, const Linear& gate, const Linear& up, Gate kind) {
  return Do([&] {
    const at::Tensor normed = Normalized(At(x), norm);
    return ApplyGate(ApplyLinear(normed, gate), kind).mul(ApplyLinear(normed, up));
  });
}

Activation TorchPass::Head(const Activation& x, const Norm& norm, const Linear& head) {
  return Do([&] {
    RequireBatchRows(x, "head");
    at::Tensor rows = At(x);
    if (static_cast<int64_t>(batch_.output_rows.size()) != batch_.rows) {
      rows = at::index_select(rows, 0, IndicesOf({batch_.output_rows.begin(), batch_.output_rows.end()}));
    }
    return ApplyLinear(Normalized(rows, norm), head);
  });
}

absl::Status TorchPass::Read(const Activation& from, std::span<float> out) {
  if (!status_.ok()) return status_;
  return Guarded([&] {
    const at::Tensor values = At(from).detach().contiguous();
    Require(values.numel() == static_cast<int64_t>(out.size()), "read: {} floats into {}", values.numel(), out.size());
    std::copy_n(values.const_data_ptr<float>(), out.size(), out.data());
    return absl::OkStatus();
  });
}

absl::Status TorchPass::Backward(Activation output, std::span<const float> output_gradient) {
  if (!status_.ok()) return status_;
  return Guarded([&] {
    const at::Tensor& values = At(output);
    Require(values.numel() == static_cast<int64_t>(output_gradient.size()), "backward: a gradient of {} for {} values",
            output_gradient.size(), values.numel());
    values.backward(FloatsOf(output_gradient, values.sizes()));
    return absl::OkStatus();
  });
}

absl::Status TorchPass::InputGradient(std::span<float> out) {
  if (!status_.ok()) return status_;
  return Guarded([&] {
    if (!input_.defined() || !input_.grad().defined()) {
      return absl::FailedPreconditionError(
          "the pass has no input gradient: give DifferentiableInput and go back first");
    }
    const at::Tensor gradient = input_.grad().contiguous();
    Require(gradient.numel() == static_cast<int64_t>(out.size()), "read: {} floats into {}", gradient.numel(),
            out.size());
    std::copy_n(gradient.const_data_ptr<float>(), out.size(), out.data());
    return absl::OkStatus();
  });
}

}  // namespace gwq
