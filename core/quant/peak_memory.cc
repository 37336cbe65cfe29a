#include "core/quant/peak_memory.h"

#include <algorithm>
#include <vector>

#include "core/quant/packer.h"

namespace gwq {
namespace {

// Program, LibTorch with its thread pools, allocator slack: docs/memory.md has the measurement.
constexpr uint64_t kConstantBytes = uint64_t{384} << 20;
// A tokenizer in memory, as a multiple of its tokenizer.json.
constexpr uint64_t kTokenizerFactor = 24;
// Copies of each [tokens, width] value of a block that its forward and backward pass keep, or that kernels work in.
constexpr uint64_t kGradientCopies = 6;
constexpr uint64_t kForwardCopies = 3;
// Rows of logits alive at a time (calibration.cc, evaluate.cc), and how many copies of them.
constexpr uint64_t kLogitRows = 64;
constexpr uint64_t kLogitCopies = 4;

uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }

// Of one stage or one tensor: weights, bytes as they came, bytes as they will be stored, weights with a gradient.
struct Size {
  uint64_t weights = 0;
  uint64_t source = 0;
  uint64_t stored = 0;
  uint64_t wanted = 0;
};

Size Max(const Size& a, const Size& b) {
  return {std::max(a.weights, b.weights), std::max(a.source, b.source), std::max(a.stored, b.stored),
          std::max(a.wanted, b.wanted)};
}

struct Sizes {
  Size block;   // largest decoder block
  Size tower;   // largest stage of the vision tower
  Size outer;   // the larger one of embedding and head stage
  Size matrix;  // largest tensor of a decoder block
  Size tensor;  // largest tensor of all
};

Sizes SizesOf(const Model& model, const Manifest& source, const Plan& plan, const Recipe& recipe) {
  std::vector<Size> stages(static_cast<size_t>(model.all_stages()));
  const auto decoder = static_cast<size_t>(model.stages());
  Sizes sizes;
  Size embedding;
  for (const PlannedModule& module : plan.modules) {
    const ManifestTensor* tensor = source.FindTensor(module.tensor);
    const Size size{module.weights, tensor == nullptr ? 0 : tensor->size, module.stored_bytes,
                    NeedsGradient(module, recipe) ? module.weights : 0};
    Size& stage = stages[static_cast<size_t>(module.stage)];
    stage = {stage.weights + size.weights, stage.source + size.source, stage.stored + size.stored,
             stage.wanted + size.wanted};
    if (module.kind == TensorKind::kEmbedding) embedding = size;
    if (module.kind == TensorKind::kLinear) sizes.matrix = Max(sizes.matrix, size);
    sizes.tensor = Max(sizes.tensor, size);
  }
  for (size_t i = 1; i + 1 < decoder; ++i) sizes.block = Max(sizes.block, stages[i]);
  for (size_t i = decoder; i < stages.size(); ++i) sizes.tower = Max(sizes.tower, stages[i]);
  // A tied head is listed with the embedding, but its stage holds it too.
  Size head = stages[decoder - 1];
  if (model.config().tied_head) {
    head = {head.weights + embedding.weights, head.source + embedding.source, head.stored + embedding.stored, 0};
  }
  sizes.outer = Max(stages.front(), head);
  return sizes;
}

// Floats of all [1, width] values of one block's pass.
uint64_t Widths(const ModelConfig& config) {
  const int64_t heads = config.attention.heads + 2 * config.attention.kv_heads;
  return Unsigned(4 * config.hidden_size + 3 * config.intermediate_size + 2 * heads * config.attention.head_dim);
}

// Codes, the packed bytes while they are laid out, sorted scores, outliers and the mapped source of one matrix.
uint64_t PackBytes(const Size& matrix, const Recipe& recipe, bool gradient) {
  const auto outliers = static_cast<uint64_t>(recipe.outlier_ratio * static_cast<double>(matrix.weights));
  const uint64_t scores = gradient || recipe.method != Method::kGwq ? 4 : 8;
  return matrix.weights * (1 + scores) + 2 * matrix.stored + outliers * 24 + matrix.source;
}

// Floats of all [1, width] values of one pass of a tower's stage.
uint64_t TowerWidths(const VisionConfig& vision) {
  return Unsigned(10 * vision.hidden_size + 3 * vision.intermediate_size + vision.patch_floats +
                  vision.projector_width);
}

// The tower's part of a walk: inputs of its stages, and one stage forward and backward over all rows of the picture.
uint64_t TowerBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, uint64_t tokens) {
  const VisionConfig& vision = *config.vision;
  // Rows that become an image token, and class tokens.
  const uint64_t rows = tokens * Unsigned(vision.merge * vision.merge + 1);
  const uint64_t inputs =
      rows * (Unsigned(vision.blocks + 2) * Unsigned(vision.hidden_size) + 2 * Unsigned(vision.patch_floats)) * 4;
  return inputs + sizes.tower.weights * 4 + sizes.tower.wanted * 4 +
         std::max(kGradientCopies * rows * TowerWidths(vision) * 4 + sizes.matrix.source,
                  PackBytes(sizes.matrix, recipe, true));
}

uint64_t CalibrateBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, bool sees_image) {
  if (sizes.block.wanted + sizes.tower.wanted == 0) return 0;
  const uint64_t tokens = Unsigned(sees_image ? std::max(recipe.calibration.max_tokens, kImageSampleTokens)
                                              : recipe.calibration.max_tokens);
  const uint64_t hidden = Unsigned(config.hidden_size);
  const uint64_t inputs = Unsigned(config.blocks + 3) * tokens * hidden * 4;
  const uint64_t block = sizes.block.weights * 4 + sizes.block.wanted * 4 +
                         std::max(kGradientCopies * tokens * Widths(config) * 4 + sizes.matrix.source,
                                  PackBytes(sizes.matrix, recipe, true));
  const uint64_t rows = recipe.loss == Loss::kAll ? std::min(tokens, kLogitRows) : 1;
  const uint64_t outer = sizes.outer.weights * 4 + sizes.outer.source +
                         kLogitCopies * rows * Unsigned(config.vocab_size) * 4 + kGradientCopies * tokens * hidden * 4;
  // The tower's inputs are held from its way forward, which comes first, to its way back, which comes last.
  const uint64_t tower = sees_image ? TowerBytes(config, sizes, recipe, tokens) : 0;
  return inputs + std::max(block, outer) + tower;
}

uint64_t GenerateBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe) {
  if (sizes.block.wanted == 0 || config.vision || recipe.calibration.source != CalibrationSource::kGenerated) return 0;
  const uint64_t width = Unsigned(config.attention.kv_heads * config.attention.head_dim);
  // Up to 16 texts, each with a block of the cache that is not full.
  const uint64_t cache = 2 * Unsigned(config.blocks) * (Unsigned(recipe.calibration.max_tokens) + 256) * width * 4;
  const uint64_t stage = std::max(sizes.block.source, sizes.outer.source) * 5 / 4 + sizes.tensor.source;
  return cache + stage + kLogitCopies * 16 * Unsigned(config.vocab_size) * 4;
}

uint64_t EvaluateBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe) {
  const uint64_t tokens = Unsigned(recipe.evaluation_tokens);
  if (tokens == 0) return 0;
  const uint64_t window = std::min(tokens, Unsigned(recipe.evaluation_window));
  const uint64_t hidden = Unsigned(config.hidden_size);
  const uint64_t states = 2 * tokens * hidden * 4;
  const uint64_t cache = 2 * (window + 16) * Unsigned(config.attention.kv_heads * config.attention.head_dim) * 4;
  const uint64_t pass = kForwardCopies * window * Widths(config) * 4;
  // One side's block at a time, but both sides' heads; a kernel's layout may take a quarter more than what is stored.
  const uint64_t block = std::max(sizes.block.source, sizes.block.stored) * 5 / 4 + sizes.tensor.source;
  const uint64_t heads = (sizes.outer.source + sizes.outer.stored) * 5 / 4 + sizes.tensor.source +
                         kLogitCopies * std::min(window, kLogitRows) * Unsigned(config.vocab_size) * 4;
  return states + cache + pass + std::max(block, heads);
}

}  // namespace

uint64_t PeakMemory(const Model& model, const Manifest& source, const Plan& plan, const Recipe& recipe) {
  const ModelConfig& config = model.config();
  const Sizes sizes = SizesOf(model, source, plan, recipe);
  const ManifestFile* tokenizer = source.FindFile("tokenizer.json");
  const uint64_t texts = tokenizer == nullptr ? 0 : tokenizer->size * kTokenizerFactor;
  return kConstantBytes + texts +
         std::max({GenerateBytes(config, sizes, recipe), CalibrateBytes(config, sizes, recipe, plan.sees_image),
                   PackBytes(sizes.tensor, recipe, false), EvaluateBytes(config, sizes, recipe)});
}

}  // namespace gwq
