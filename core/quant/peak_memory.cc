#include "core/quant/peak_memory.h"

#include <algorithm>
#include <vector>

namespace gwq {
namespace {

// Program, LibTorch and its thread pools, allocator slack; measured, see docs/memory.md.
constexpr uint64_t kConstantBytes = uint64_t{512} << 20;
// Copies of a [tokens, width] value that one block's forward and backward pass keeps, and of the attention's squares.
constexpr uint64_t kWidthCopies = 6;
constexpr uint64_t kSquareCopies = 5;
// Rows of logits that are held at a time while two models are compared.
constexpr uint64_t kLogitRows = 64;

struct Sizes {
  uint64_t block = 0;          // weights of the largest decoder block
  uint64_t outer = 0;          // weights of the larger one of embedding and head stage
  uint64_t matrix = 0;         // weights of the largest tensor that is packed
  uint64_t matrix_packed = 0;  // its stored bytes
};

Sizes SizesOf(const Model& model, const Plan& plan) {
  std::vector<uint64_t> stages(static_cast<size_t>(model.stages()), 0);
  Sizes sizes;
  uint64_t embedding = 0;
  for (const PlannedModule& module : plan.modules) {
    stages[static_cast<size_t>(module.stage)] += module.weights;
    if (module.kind == TensorKind::kEmbedding) embedding = module.weights;
    if (module.method != Method::kKeep && module.weights > sizes.matrix) {
      sizes.matrix = module.weights;
      sizes.matrix_packed = module.stored_bytes;
    }
  }
  for (size_t i = 1; i + 1 < stages.size(); ++i) sizes.block = std::max(sizes.block, stages[i]);
  // A tied head is listed with the embedding, but its stage needs it too.
  sizes.outer = std::max(stages.front(), stages.back() + (model.config().tied_head ? embedding : 0));
  return sizes;
}

uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }

}  // namespace

uint64_t PeakMemory(const Model& model, const Manifest&, const Plan& plan, const Recipe& recipe) {
  const ModelConfig& config = model.config();
  const Sizes sizes = SizesOf(model, plan);
  const uint64_t hidden = Unsigned(config.hidden_size);
  const uint64_t vocabulary = Unsigned(config.vocab_size);
  const uint64_t heads = Unsigned(config.attention.heads);
  const uint64_t widths =
      4 * hidden + 3 * Unsigned(config.intermediate_size) +
      2 * Unsigned((config.attention.heads + 2 * config.attention.kv_heads) * config.attention.head_dim);
  const uint64_t tokens = Unsigned(recipe.calibration.max_tokens);
  const uint64_t inputs = Unsigned(config.blocks + 2) * tokens * hidden * 4;
  const uint64_t activations = kWidthCopies * tokens * widths * 4 + kSquareCopies * heads * tokens * tokens * 4;
  const uint64_t label_rows = recipe.loss == Loss::kAll ? tokens : 1;

  // Weights in fp32, their gradients, and the stored tensor that is being read.
  const uint64_t calibrate_block = sizes.block * (4 + 4 + 2) + activations + inputs;
  const uint64_t calibrate_outer = sizes.outer * (4 + 4) + 4 * label_rows * vocabulary * 4 + inputs;
  // Gradients of a block, one matrix's scores sorted, its codes, its packed bytes.
  const uint64_t pack = sizes.block * 4 + sizes.matrix * (4 + 4 + 1) + 2 * sizes.matrix_packed + inputs;

  const uint64_t evaluated = Unsigned(recipe.evaluation_tokens);
  const uint64_t window = std::min(evaluated, Unsigned(recipe.evaluation_window));
  const uint64_t states = 2 * evaluated * hidden * 4;
  const uint64_t cache = 2 * window * Unsigned(config.attention.kv_heads * config.attention.head_dim) * 4;
  const uint64_t evaluate = evaluated == 0 ? 0
                                           : std::max(sizes.block, sizes.outer) * 2 * (4 + 2) + states + cache +
                                                 kWidthCopies * window * widths * 4 +
                                                 4 * std::min(window, kLogitRows) * vocabulary * 4;
  return kConstantBytes + std::max({calibrate_block, calibrate_outer, pack, evaluate});
}

}  // namespace gwq
