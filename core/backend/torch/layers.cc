#include "core/backend/torch/layers.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <optional>

#include "core/backend/torch/one_dnn_linear.h"
#include "core/backend/torch/seam.h"

namespace gwq {
namespace {

// oneDNN puts a weight in another order for each product, which fewer rows do not pay for: those of a head, above all.
constexpr int64_t kOneDnnRows = 128;

// The axis whose position turns each frequency.
std::vector<int> AxisOfFrequency(const Batch& batch, const Rope& rope) {
  const size_t half = rope.inverse_frequencies.size();
  const bool text = batch.position_axes == 1 && batch.embeddings.empty();
  if (rope.sections.empty() || text) return std::vector<int>(half, 0);
  std::vector<int> axes;
  for (size_t axis = 0; axis < rope.sections.size(); ++axis) {
    axes.insert(axes.end(), static_cast<size_t>(rope.sections[axis]), static_cast<int>(axis));
  }
  Require(axes.size() == half, "rope: sections cover {} of {} frequencies", axes.size(), half);
  Require(static_cast<int>(rope.sections.size()) <= batch.position_axes, "rope: {} sections, the batch has {} axes",
          rope.sections.size(), batch.position_axes);
  return axes;
}

// Key and value heads are repeated for the query heads of their group: [1, heads, tokens, head_dim].
at::Tensor ForHeads(const at::Tensor& x, int64_t heads) {
  const int64_t tokens = x.size(0), kv_heads = x.size(1), head_dim = x.size(2);
  return x.transpose(0, 1)
      .unsqueeze(1)
      .expand({kv_heads, heads / kv_heads, tokens, head_dim})
      .reshape({1, heads, tokens, head_dim});
}

// Row i sees the context before the rows, the rows before it and itself.
at::Tensor CausalMask(int64_t rows, int64_t tokens) {
  at::Tensor mask = at::empty({rows, tokens}, at::TensorOptions(at::kBool));
  bool* next = mask.mutable_data_ptr<bool>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t token = 0; token < tokens; ++token) *next++ = token <= tokens - rows + row;
  }
  return mask;
}

}  // namespace

const at::Tensor& ValuesOf(const Weight* weight) {
  const auto* own = dynamic_cast<const TorchWeight*>(weight);
  Require(own != nullptr, "a weight of another backend, or none, was given");
  return own->values();
}

at::Tensor Normalized(const at::Tensor& x, const Norm& norm) {
  const at::Tensor& weight = ValuesOf(norm.weight);
  Require(weight.sizes() == x.sizes().slice(1), "norm: {} weights for rows of {}", weight.numel(), x.size(1));
  if (norm.kind == NormKind::kLayer) {
    const at::Tensor& bias = ValuesOf(norm.bias);
    Require(bias.sizes() == weight.sizes(), "norm: {} biases for {} weights", bias.numel(), weight.numel());
    return at::layer_norm(x, weight.sizes(), weight, bias, static_cast<double>(norm.epsilon));
  }
  const at::Tensor scale = at::rsqrt(x.pow(2).mean(-1, /*keepdim=*/true).add(norm.epsilon));
  return x.mul(scale).mul(weight);
}

at::Tensor ApplyLinear(const at::Tensor& x, const Linear& linear) {
  const at::Tensor& weight = ValuesOf(linear.weight);
  Require(weight.dim() == 2 && weight.size(1) == x.size(1), "linear: rows of {} times a matrix {}", x.size(1),
          ShapeString(weight.sizes().vec()));
  std::optional<at::Tensor> bias;
  if (linear.bias != nullptr) {
    bias = ValuesOf(linear.bias);
    Require(bias->dim() == 1 && bias->size(0) == weight.size(0), "linear: {} biases for {} outputs", bias->numel(),
            weight.size(0));
  }
  const auto* const own = static_cast<const TorchWeight*>(linear.weight);
  own->TellInput(x);
  return own->one_dnn() && x.size(0) >= kOneDnnRows ? OneDnnLinear(x, weight, bias) : at::linear(x, weight, bias);
}

at::Tensor ApplyGate(const at::Tensor& x, Gate gate) {
  if (gate == Gate::kSilu) return at::silu(x);
  if (gate == Gate::kRelu) return at::relu(x);
  if (gate == Gate::kQuickGelu) return x.mul(at::sigmoid(x.mul(1.702)));
  return at::gelu(x, gate == Gate::kGelu ? "none" : "tanh");
}

RotaryTables MakeRotaryTables(const Batch& batch, const Rope& rope) {
  const std::vector<int> axes = AxisOfFrequency(batch, rope);
  const auto half = static_cast<int64_t>(axes.size());
  RotaryTables tables{EmptyFloats({batch.rows, 1, 2 * half}), EmptyFloats({batch.rows, 1, 2 * half})};
  auto* cosine = tables.cosine.mutable_data_ptr<float>();
  auto* sine = tables.sine.mutable_data_ptr<float>();
  for (int64_t row = 0; row < batch.rows; ++row) {
    for (int64_t i = 0; i < half; ++i) {
      const auto at = static_cast<size_t>(i);
      const int32_t position = batch.positions[static_cast<size_t>(axes[at] * batch.rows + row)];
      const float angle = static_cast<float>(position) * rope.inverse_frequencies[at];
      const int64_t to = row * 2 * half + i;
      cosine[to] = cosine[to + half] = std::cos(angle) * rope.attention_factor;
      sine[to] = sine[to + half] = std::sin(angle) * rope.attention_factor;
    }
  }
  return tables;
}

at::Tensor Rotate(const at::Tensor& x, const RotaryTables& tables) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor turned = at::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
  return x.mul(tables.cosine).add(turned.mul(tables.sine));
}

at::Tensor CausalAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, float scale) {
  const int64_t rows = queries.size(0), heads = queries.size(1), tokens = keys.size(0);
  const bool whole = rows == tokens;
  std::optional<at::Tensor> mask;
  if (!whole && rows > 1) mask = CausalMask(rows, tokens);
  const at::Tensor attended = at::scaled_dot_product_attention(
      queries.transpose(0, 1).unsqueeze(0), ForHeads(keys, heads), ForHeads(values, heads), mask,
      /*dropout_p=*/0.0, /*is_causal=*/whole && rows > 1, static_cast<double>(scale));
  return attended.squeeze(0).transpose(0, 1).reshape({rows, heads * queries.size(2)});
}

at::Tensor FullAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, float scale) {
  const int64_t rows = queries.size(0), heads = queries.size(1);
  const at::Tensor attended = at::scaled_dot_product_attention(
      queries.transpose(0, 1).unsqueeze(0), ForHeads(keys, heads), ForHeads(values, heads), std::nullopt,
      /*dropout_p=*/0.0, /*is_causal=*/false, static_cast<double>(scale));
  return attended.squeeze(0).transpose(0, 1).reshape({rows, heads * queries.size(2)});
}

RotaryTables TablesOf(std::span<const float> cosines, std::span<const float> sines, int64_t rows) {
  const auto doubled = [&](std::span<const float> table) {
    const at::Tensor half = FloatsOf(table, {rows, 1, static_cast<int64_t>(table.size()) / rows});
    return at::cat({half, half}, -1);
  };
  return {doubled(cosines), doubled(sines)};
}

at::Tensor RowsOrZeros(const at::Tensor& x, std::span<const int32_t> rows) {
  bool zeros = false;
  std::vector<int64_t> index;
  for (const int32_t row : rows) {
    Require(row >= -1 && row < x.size(0), "row {} of {}", row, x.size(0));
    zeros = zeros || row < 0;
    index.push_back(row < 0 ? x.size(0) : row);
  }
  const at::Tensor from = zeros ? at::cat({x, at::zeros({1, x.size(1)}, at::TensorOptions(at::kFloat))}, 0) : x;
  return at::index_select(from, 0, IndicesOf(index));
}

}  // namespace gwq
