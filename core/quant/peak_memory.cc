#include "core/quant/peak_memory.h"

#include <algorithm>
#include <vector>

#include "core/artifact/stored_dataset.h"
#include "core/calibration/calibration_backend.h"
#include "core/calibration/state_store.h"
#include "core/evaluation/memory_terms.h"
#include "core/quant/quantizers.h"
#include "core/quant/sample_states.h"
#include "core/quant/tuned/tuned_tensor.h"

namespace gwq {
namespace {

using namespace memory_terms;  // NOLINT(google-build-using-namespace): the same formulas

// Of states in memory (core/calibration/state_store.h, as the walks are asked to hold).
constexpr uint64_t kStateBytes = uint64_t{256} << 20;
// Of metrics in memory (core/quant/job/block_metrics.h).
constexpr uint64_t kMetricBytes = uint64_t{64} << 20;
// Copies of each [tokens, width] value of a block that its forward and backward pass keep, or that kernels work in.
constexpr uint64_t kGradientCopies = 6;
// Copies of a dataset's lines: as they are, checked, and a view of each line. The view of a short line takes twice its
// bytes.
constexpr uint64_t kLineCopies = 4;

// Of one stage or one tensor, in bytes but for the counts of weights.
struct Size {
  uint64_t weights = 0;
  uint64_t source = 0;   // as they came
  uint64_t wanted = 0;   // weights with a gradient
  uint64_t open = 0;     // weights whose bits a target chooses
  uint64_t grams = 0;    // Gram matrices, each counted although several may share one
  uint64_t pack = 0;     // making and storing the largest matrix
  uint64_t learned = 0;  // making all matrices that are made together: what the method holds of each, and gradients
  uint64_t tuned = 0;    // scales and norms that are tuned together with those of all other stages
};

Size Max(const Size& a, const Size& b) {
  return {std::max(a.weights, b.weights), std::max(a.source, b.source), std::max(a.wanted, b.wanted),
          std::max(a.open, b.open),       std::max(a.grams, b.grams),   std::max(a.pack, b.pack),
          std::max(a.learned, b.learned), std::max(a.tuned, b.tuned)};
}

// Of the forms that a matrix may get the most that `bytes` gives.
template <class Bytes>
uint64_t MostOf(const PlannedModule& module, const Bytes& bytes) {
  uint64_t most = bytes(module.packed);
  for (const ModuleChoice& choice : module.choices) most = std::max(most, bytes(choice.packed));
  return most;
}

uint64_t MethodBytes(const PlannedModule& module, const Recipe& recipe) {
  const Quantizer* const quantizer = FindQuantizer(module.method);
  if (quantizer == nullptr) return 0;
  return MostOf(module, [&](const PackedShape& shape) { return quantizer->Memory(shape, recipe); });
}

// What the method holds, the packed bytes while they are laid out, and the mapped source of one matrix.
uint64_t PackBytes(const PlannedModule& module, uint64_t source, const Recipe& recipe) {
  if (FindQuantizer(module.method) == nullptr) return 0;
  return MethodBytes(module, recipe) + 2 * module.stored_bytes + source;
}

Size SizeOf(const PlannedModule& module, const TensorIndex& source, const Recipe& recipe) {
  const ManifestTensor* const tensor = source.Find(module.tensor);
  Size size;
  size.weights = module.weights;
  size.source = tensor == nullptr ? 0 : tensor->size;
  size.wanted = module.needs == Needs::kGradient ? module.weights : 0;
  size.open = module.is_open() ? module.weights : 0;
  size.grams = module.needs == Needs::kGram ? Unsigned(module.packed.cols * module.packed.cols) * 4 : 0;
  size.pack = PackBytes(module, size.source, recipe);
  if (module.needs == Needs::kBlock) {
    size.learned = MethodBytes(module, recipe) + 4 * module.weights + size.source + Unsigned(module.packed.cols) * 4;
    size.tuned = MostOf(module, &TunedTensor::Bytes);
  } else if (module.kind == TensorKind::kNorm) {
    size.tuned = 12 * module.weights;
  }
  return size;
}

struct Sizes {
  uint64_t tuned = 0;  // of all stages of the decoder
  Size block;          // largest decoder block
  Size tower;          // largest stage of the vision tower
  Size outer;          // the larger one of embedding and head stage
  Size matrix;         // largest tensor of a decoder block
  Size tensor;         // largest tensor of all
};

Sizes SizesOf(const Model& model, const Manifest& source, const Plan& plan, const Recipe& recipe) {
  std::vector<Size> stages(static_cast<size_t>(model.all_stages()));
  const auto decoder = static_cast<size_t>(model.stages());
  Sizes sizes;
  Size embedding;
  const TensorIndex tensors(source);
  for (const PlannedModule& module : plan.modules) {
    const Size size = SizeOf(module, tensors, recipe);
    Size& stage = stages[static_cast<size_t>(module.stage)];
    stage = {stage.weights + size.weights, stage.source + size.source,
             stage.wanted + size.wanted,   stage.open + size.open,
             stage.grams + size.grams,     std::max(stage.pack, size.pack),
             stage.learned + size.learned, 0};
    if (module.stage < model.stages()) sizes.tuned += size.tuned;
    if (module.kind == TensorKind::kEmbedding) embedding = size;
    if (module.kind == TensorKind::kLinear) sizes.matrix = Max(sizes.matrix, size);
    sizes.tensor = Max(sizes.tensor, size);
  }
  for (size_t i = 1; i + 1 < decoder; ++i) sizes.block = Max(sizes.block, stages[i]);
  for (size_t i = decoder; i < stages.size(); ++i) sizes.tower = Max(sizes.tower, stages[i]);
  // A tied head is listed with the embedding, but its stage holds it too.
  Size head = stages[decoder - 1];
  if (model.config().tied_head) {
    head = {head.weights + embedding.weights, head.source + embedding.source, 0, 0, 0, embedding.pack, 0, 0};
  }
  sizes.outer = Max(stages.front(), head);
  return sizes;
}

// States of all samples that are held in memory: what is over the limit is in a file, but for the one that is worked
// on.
uint64_t StateBytes(uint64_t states, uint64_t one) { return std::min(states, kStateBytes + 2 * one); }

// The metric of a stage, its sum, what is being stored, and sums of other stages (core/quant/job/block_metrics.h).
uint64_t MetricStates(const ModelConfig& config, const SampleStates& states) {
  const uint64_t one = states.widest * states.widest * 4;
  return 4 * one + std::min(kMetricBytes, (Unsigned(config.blocks) + 1) * one);
}

// Floats of all [1, width] values of one pass of a tower's stage.
uint64_t TowerWidths(const VisionConfig& vision) {
  return Unsigned(10 * vision.hidden_size + 3 * vision.intermediate_size + vision.patch_floats +
                  vision.projector_width);
}

// The tower's part of a walk: patches of one sample, inputs of its stages, the rows that it makes of all samples, and
// one stage over all rows of a sample.
uint64_t TowerBytes(const ModelConfig& config, const Sizes& sizes, const SampleStates& states) {
  if (states.tower_stages == 0) return 0;
  const VisionConfig& vision = *config.vision;
  const uint64_t rows = states.tower_rows;
  const uint64_t inputs = 2 * rows * Unsigned(vision.patch_floats) * 4 +
                          StateBytes(states.tower_stages * states.samples * states.tower, states.tower) +
                          states.samples * states.image_rows;
  return inputs + sizes.tower.weights * 4 + sizes.tower.wanted * 4 + sizes.tower.grams +
         std::max(kGradientCopies * rows * TowerWidths(vision) * 4 + sizes.matrix.source,
                  sizes.tower.pack + sizes.matrix.weights * 4);
}

uint64_t GradientBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, const Plan& plan) {
  if (sizes.block.wanted + sizes.tower.wanted == 0) return 0;
  const SampleStates sample = StatesOf(config, plan, recipe);
  const uint64_t tokens = sample.tokens, state = sample.text;
  const uint64_t states = StateBytes(sample.stages * sample.samples * state, state);
  // With the gradients of the first half of the samples, and what compares one of them (core/quant/job/mask_overlap.h).
  const uint64_t halved = sample.samples > 1 ? 4 : 0;  // bytes of a weight
  const uint64_t block =
      sizes.block.weights * 4 + sizes.block.wanted * (4 + halved) + sizes.matrix.wanted * halved +
      std::max(kGradientCopies * tokens * Widths(config) * 4 + sizes.matrix.source, sizes.block.pack);
  const uint64_t rows = recipe.gwq.loss == Loss::kAll ? std::min(tokens, kLogitRows) : 1;
  const uint64_t outer = sizes.outer.weights * 4 + sizes.outer.source +
                         kLogitCopies * rows * Unsigned(config.vocab_size) * 4 + kGradientCopies * state;
  // The tower's inputs are held from its way forward, which comes first, to its way back, which comes last.
  return states + sample.samples * sample.layout + std::max(block, outer) + TowerBytes(config, sizes, sample) +
         sizes.tower.wanted * halved;
}

// The copy of a weight that oneDNN makes for a product (core/backend/torch/one_dnn_linear.h).
uint64_t ProductBytes(const Sizes& sizes, const Plan& plan) {
  return AnyNeeds(plan, Needs::kBlock) ? sizes.matrix.weights * 4 : 0;
}

// The pass for Fisher information: as for gradients, with one sample's gradients and the sum of their squares of each
// weight whose bits are open; with the metric's sum of one stage, that which is being stored and those of other stages.
uint64_t FisherBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, const Plan& plan) {
  const int64_t samples = FisherSamples(plan, recipe);
  if (samples == 0) return 0;
  SampleStates sample = StatesOf(config, plan, recipe);
  sample.samples = std::min(sample.samples, Unsigned(samples));
  const uint64_t states = StateBytes(sample.stages * sample.samples * sample.text, sample.text);
  // While a stage is left, what each weight of a matrix costs is held twice where outliers are picked by it.
  const uint64_t costs = recipe.target.outliers ? sizes.matrix.weights * 8 : 0;
  const uint64_t block =
      sizes.block.weights * 4 + sizes.block.open * 8 + sizes.matrix.source +
      std::max(kGradientCopies * sample.tokens * Widths(config) * 4 + ProductBytes(sizes, plan), costs);
  const uint64_t outer = sizes.outer.weights * 4 + sizes.outer.source +
                         kLogitCopies * std::min(sample.tokens, kLogitRows) * Unsigned(config.vocab_size) * 4 +
                         kGradientCopies * sample.text;
  return states + sample.samples * sample.layout + std::max(block, outer) + MetricStates(config, sample) +
         TowerBytes(config, sizes, sample) + sizes.tower.open * 8;
}

// One stage through which samples go forth and back while its matrices are learned, beside both streams of states.
uint64_t LearnBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, const Plan& plan) {
  if (!AnyNeeds(plan, Needs::kBlock)) return 0;
  const SampleStates sample = StatesOf(config, plan, recipe);
  const uint64_t states = StateBytes(3 * sample.samples * sample.text, sample.text);
  const uint64_t block =
      sizes.block.weights * 4 + sizes.block.learned +
      std::max(kGradientCopies * sample.tokens * Widths(config) * 4 + sizes.matrix.source + ProductBytes(sizes, plan),
               sizes.block.pack + sizes.matrix.weights * 4);
  const uint64_t outer = sizes.outer.weights * 8 + sizes.outer.pack + kForwardCopies * sample.text;
  return states + sample.samples * sample.layout + std::max(block, outer) + MetricStates(config, sample) +
         TowerBytes(config, sizes, sample) + sizes.tower.learned;
}

// All that is tuned, what the full-precision model makes of each sample, and either one stage with its values and
// gradients or both heads with logits of some rows.
uint64_t TuneBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, const Plan& plan) {
  if (!AnyNeeds(plan, Needs::kBlock) || recipe.tuned.model_steps == 0) return 0;
  const SampleStates sample = StatesOf(config, plan, recipe);
  const uint64_t states = StateBytes(sample.samples * (sample.text + sample.image_rows), sample.text) +
                          StateBytes(sample.stages * sample.text, sample.text);
  const uint64_t block = sizes.block.weights * 12 + sizes.matrix.weights * 4 + ProductBytes(sizes, plan) +
                         kGradientCopies * sample.tokens * Widths(config) * 4 + sizes.matrix.source;
  const uint64_t heads = sizes.outer.weights * 12 + sizes.outer.source +
                         2 * kLogitCopies * std::min(sample.tokens, kLogitRows) * Unsigned(config.vocab_size) * 4 +
                         kGradientCopies * sample.text;
  return states + sample.samples * (sample.layout + sample.image_rows) + sizes.tuned * 2 + std::max(block, heads);
}

// One stage with its Gram matrices, and either a pass over one sample or the making of one matrix and its values.
uint64_t BlockWalkBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, const Plan& plan) {
  if (sizes.block.grams + sizes.tower.grams == 0) return 0;
  const SampleStates sample = StatesOf(config, plan, recipe);
  const uint64_t tokens = sample.tokens, state = sample.text;
  const uint64_t states = StateBytes(sample.samples * state, state);
  const uint64_t block = sizes.block.weights * 4 + sizes.block.grams +
                         std::max(kForwardCopies * tokens * Widths(config) * 4 + sizes.matrix.source,
                                  sizes.block.pack + sizes.matrix.weights * 4);
  // The embedding's stage: its weights, their values as they will be read back, and their codes.
  const uint64_t outer = sizes.outer.weights * 8 + sizes.outer.pack + kForwardCopies * state;
  return states + sample.samples * sample.layout + std::max(block, outer) + TowerBytes(config, sizes, sample);
}

uint64_t GenerateBytes(const ModelConfig& config, const Sizes& sizes, const Recipe& recipe, const Plan& plan) {
  const std::vector<Calibration> parts = CalibrationParts(recipe.calibration, plan.samples);
  const auto generated = std::ranges::max_element(parts, {}, [](const Calibration& part) {
    return part.source == CalibrationSource::kGenerated ? part.samples : 0;
  });
  if (sizes.block.wanted + sizes.block.open + sizes.block.grams + sizes.block.learned == 0 || config.vision ||
      generated->source != CalibrationSource::kGenerated)
    return 0;
  const uint64_t width = Unsigned(config.attention.kv_heads * config.attention.head_dim);
  // Up to 16 texts a sample, each with a block of the cache that is not full.
  const uint64_t samples = Unsigned(generated->samples);
  const uint64_t cache =
      2 * Unsigned(config.blocks) * samples * (Unsigned(recipe.calibration.max_tokens) + 256) * width * 4;
  const uint64_t stage = std::max(sizes.block.source, sizes.outer.source) * 5 / 4 + sizes.tensor.source;
  return cache + stage + kLogitCopies * 16 * samples * Unsigned(config.vocab_size) * 4;
}

// The lines of a dataset while samples are made of them, and its images, which are prepared one at a time both then and
// while the tower's first stage runs.
struct DatasetBytes {
  uint64_t lines = 0;
  uint64_t image = 0;
};

DatasetBytes BytesOf(const DatasetManifests& datasets, const Plan& plan) {
  DatasetBytes out;
  for (const Manifest* const dataset : datasets) {
    const ManifestFile* const file = LinesFile(*dataset);
    if (file != nullptr) out.lines = std::max(out.lines, kLineCopies * file->size);
    if (plan.sees_image) out.image = kImageBytes;
  }
  return out;
}

}  // namespace

uint64_t PeakMemory(const Model& model, const Manifest& source, const Plan& plan, const Recipe& recipe,
                    const DatasetManifests& datasets) {
  const ModelConfig& config = model.config();
  const Sizes sizes = SizesOf(model, source, plan, recipe);
  const ManifestFile* tokenizer = source.FindFile("tokenizer.json");
  const uint64_t texts = tokenizer == nullptr ? 0 : tokenizer->size * kTokenizerFactor;
  const DatasetBytes read = BytesOf(datasets, plan);
  const uint64_t walks =
      std::max({GradientBytes(config, sizes, recipe, plan), BlockWalkBytes(config, sizes, recipe, plan),
                FisherBytes(config, sizes, recipe, plan), LearnBytes(config, sizes, recipe, plan),
                TuneBytes(config, sizes, recipe, plan)});
  return kConstantBytes + texts + read.image +
         std::max({read.lines, GenerateBytes(config, sizes, recipe, plan), walks == 0 ? 0 : walks + kSpareTensorBytes,
                   sizes.tensor.pack});
}

}  // namespace gwq
