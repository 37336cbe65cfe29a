#include "core/evaluation/memory.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "core/artifact/stored_model.h"
#include "core/backend/registry.h"
#include "core/base/status.h"
#include "core/evaluation/answers.h"
#include "core/evaluation/choice_walk.h"
#include "core/evaluation/decode_speed.h"
#include "core/evaluation/default_text.h"
#include "core/evaluation/memory_terms.h"
#include "core/evaluation/model_check.h"
#include "core/evaluation/vision_model.h"
#include "core/manifest/limits.h"
#include "core/models/cache_shape.h"
#include "core/spec/dataset.h"
#include "core/text/first_tokens.h"

namespace gwq {
namespace {

using namespace memory_terms;

static_assert(kChoiceLogitRows <= int64_t{kLogitRows} && kAnswerLogitRows <= int64_t{kLogitRows});
// A dataset's file, its parsed lines, its tokens and its results, as a multiple of the file.
constexpr uint64_t kDatasetFactor = 24;
// What a tokenizer needs to encode a text, as a multiple of the text.
constexpr uint64_t kEncodeFactor = 100;

// A model, or what it will be once `planned` of its matrices are packed.
struct Side {
  const StoredModel& model;
  const PlannedShapes* planned = nullptr;

  [[nodiscard]] const ModelConfig& config() const { return model.model()->config(); }
};

struct TensorBytes {
  uint64_t held = 0;     // by the backend
  uint64_t loading = 0;  // beside that while it is loaded: mapped bytes, and what the backend needs
};

absl::StatusOr<TensorBytes> BytesOf(const Side& side, const ManifestTensor& tensor) {
  const PackedShape* shape = tensor.packed ? &*tensor.packed : nullptr;
  uint64_t stored = tensor.size;
  if (side.planned != nullptr) {
    const auto found = side.planned->find(tensor.name);
    if (found != side.planned->end()) {
      shape = &found->second;
      stored = LayoutOf(*shape).total;
    }
  }
  if (shape == nullptr) return TensorBytes{Laid(stored), stored};
  GWQ_ASSIGN_OR_RETURN(const LoadedBytes loaded, HostLoadedBytes(*shape));
  return TensorBytes{std::max(Laid(stored), loaded.held), stored + loaded.loading};
}

// What the backend holds of each stage but the head's, and of the head's, a tied one too.
struct SideSizes {
  uint64_t block = 0;  // the largest
  uint64_t head = 0;
  uint64_t all = 0;
  uint64_t loading = 0;  // of the tensor that takes most
};

absl::StatusOr<SideSizes> SizesOf(const Side& side) {
  const Model& model = *side.model.model();
  std::vector<uint64_t> stages(static_cast<size_t>(model.stages()));
  SideSizes sizes;
  uint64_t embedding = 0;
  for (const TensorSpec& spec : model.tensors()) {
    const ManifestTensor* const tensor = side.model.Find(spec.name);
    if (tensor == nullptr) continue;
    GWQ_ASSIGN_OR_RETURN(const TensorBytes bytes, BytesOf(side, *tensor));
    sizes.all += bytes.held;
    sizes.loading = std::max(sizes.loading, bytes.loading);
    if (static_cast<size_t>(spec.stage) < stages.size()) stages[static_cast<size_t>(spec.stage)] += bytes.held;
    if (spec.kind == TensorKind::kEmbedding) embedding = bytes.held;
  }
  sizes.head = stages.back() + (side.config().tied_head ? embedding : 0);
  stages.pop_back();
  sizes.block = *std::max_element(stages.begin(), stages.end());
  return sizes;
}

uint64_t TokenizerBytes(const StoredModel& model) {
  const ManifestFile* const file = model.manifest().FindFile("tokenizer.json");
  return file == nullptr ? 0 : file->size * kTokenizerFactor;
}

// Of one layer.
uint64_t CacheBytes(const ModelConfig& config, uint64_t tokens) {
  return tokens * Unsigned(CacheTokenBytes(config, 1));
}

uint64_t LogitBytes(const ModelConfig& config) { return kLogitCopies * kLogitRows * Unsigned(config.vocab_size) * 4; }

// States and a stage of one side; both heads are alive together.
absl::StatusOr<uint64_t> TextBytes(std::span<const Side> sides, const EvaluationTask& task) {
  const uint64_t tokens = Unsigned(task.tokens);
  const uint64_t window = std::min(tokens, Unsigned(task.window));
  uint64_t held = 0, stage = 0, heads = 0;
  for (const Side& side : sides) {
    const ModelConfig& config = side.config();
    GWQ_ASSIGN_OR_RETURN(const SideSizes sizes, SizesOf(side));
    held += tokens * Unsigned(config.hidden_size) * 4 + CacheBytes(config, window + 16);
    stage = std::max(stage, sizes.block + sizes.loading + kForwardCopies * window * Widths(config) * 4);
    heads += sizes.head + sizes.loading + LogitBytes(config) + window * Unsigned(config.hidden_size) * 4;
  }
  return held + std::max(stage, heads);
}

// The cache holds the prompts of a pass, or a long one, each with its longest choice.
absl::StatusOr<uint64_t> ChoiceBytes(const Side& side) {
  const ModelConfig& config = side.config();
  GWQ_ASSIGN_OR_RETURN(const SideSizes sizes, SizesOf(side));
  const auto wave = Unsigned(kChoiceWaveRows);
  const auto rows = Unsigned(kChoicePassRows);
  const uint64_t states = (wave + 2 * rows) * Unsigned(config.hidden_size) * 4;
  const uint64_t cache = CacheBytes(config, 2 * wave);
  const uint64_t block = sizes.block + kForwardCopies * rows * Widths(config) * 4;
  return states + cache + sizes.loading + std::max(block, sizes.head + LogitBytes(config));
}

// The sides come one after the other.
absl::StatusOr<uint64_t> LargestChoiceBytes(std::span<const Side> sides) {
  uint64_t largest = 0;
  for (const Side& side : sides) {
    GWQ_ASSIGN_OR_RETURN(const uint64_t bytes, ChoiceBytes(side));
    largest = std::max(largest, bytes);
  }
  return largest;
}

// A reference's logits over the steps of a wave's answers; one question may take more than its share.
constexpr uint64_t kReferenceLogitBytes = uint64_t{256} << 20;

// The whole model, a cache of all its blocks for `cache_tokens`, and a pass of `pass_rows`.
absl::StatusOr<uint64_t> WholeModelBytes(const Side& side, uint64_t cache_tokens, uint64_t pass_rows) {
  const ModelConfig& config = side.config();
  GWQ_ASSIGN_OR_RETURN(const SideSizes sizes, SizesOf(side));
  const uint64_t cache = CacheBytes(config, cache_tokens) * Unsigned(config.blocks);
  const uint64_t pass = kForwardCopies * pass_rows * Widths(config) * 4;
  return sizes.all + sizes.loading + cache + pass + LogitBytes(config);
}

absl::StatusOr<uint64_t> ImageBytes(std::span<const Side> sides, const EvaluationTask& task) {
  uint64_t bytes = kImageBytes;
  for (const Side& side : sides) {
    GWQ_ASSIGN_OR_RETURN(const uint64_t model,
                         WholeModelBytes(side, Unsigned(kAnswerCacheTokens), Unsigned(kAnswerPassRows)));
    // The image rows of a wave and of the question after it.
    const uint64_t rows = Unsigned(kAnswerCacheTokens + kMaxAskedTokens);
    bytes += model + rows * Unsigned(side.config().hidden_size) * 4;
  }
  if (sides.size() == 1) return bytes;
  const uint64_t logits = Unsigned(sides.back().config().vocab_size) * Unsigned(task.max_tokens) * 4;
  return bytes + std::max(kReferenceLogitBytes, logits);
}

absl::StatusOr<uint64_t> MeasureBytes(std::span<const Side> sides, const EvaluationTask& task) {
  switch (task.kind) {
    case EvaluationKind::kText:
      return TextBytes(sides, task);
    case EvaluationKind::kChoices:
      return LargestChoiceBytes(sides);
    case EvaluationKind::kVqa:
    case EvaluationKind::kGrounding:
      return ImageBytes(sides, task);
  }
  return absl::InternalError("unknown kind of evaluation");
}

// Those that are loaded at a time. A text is encoded by the model's alone.
uint64_t TokenizersBytes(std::span<const Side> sides, EvaluationKind kind) {
  const uint64_t first = TokenizerBytes(sides.front().model);
  if (sides.size() == 1 || kind == EvaluationKind::kText) return first;
  const uint64_t second = TokenizerBytes(sides.back().model);
  return kind == EvaluationKind::kChoices ? std::max(first, second) : first + second;
}

// Of the file with lines or text.
absl::StatusOr<uint64_t> DatasetBytes(BlobStore& store, const EvaluationTask& task) {
  if (task.dataset.empty()) return uint64_t{0};
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(task.dataset));
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, digest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  uint64_t bytes = 0;
  for (const ManifestFile& file : manifest.files) {
    if (file.path.ends_with(".jsonl") || file.path.ends_with(".txt")) bytes += file.size;
  }
  return bytes;
}

// The beginning of a text, or one question of a dataset.
uint64_t EncodeBytes(const EvaluationTask& task, uint64_t dataset) {
  if (task.kind != EvaluationKind::kText) {
    return kEncodeFactor * std::min<uint64_t>(dataset, DatasetLimits{}.max_line_bytes);
  }
  const size_t given = task.text.empty() ? DefaultEvaluationText().size() : task.text.size();
  return kEncodeFactor * EncodedBytes(task.dataset.empty() ? given : dataset, task.tokens);
}

}  // namespace

absl::StatusOr<uint64_t> EvaluationMemory(BlobStore& store, const Digest& model, const std::optional<Digest>& reference,
                                          const EvaluationTask& task, std::string_view path,
                                          const PlannedShapes* planned) {
  GWQ_RETURN_IF_ERROR(CheckEvaluationTask(task, path));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> measured, StoredModel::Open(store, model));
  std::unique_ptr<const StoredModel> against;
  if (reference) {
    GWQ_ASSIGN_OR_RETURN(against, StoredModel::Open(store, *reference));
  }
  GWQ_RETURN_IF_ERROR(CheckEvaluationModels(*measured, against.get(), task, path));
  std::vector<Side> sides = {{*measured, planned}};
  if (against != nullptr) sides.push_back({*against});
  GWQ_ASSIGN_OR_RETURN(const uint64_t dataset, DatasetBytes(store, task));
  GWQ_ASSIGN_OR_RETURN(const uint64_t measure, MeasureBytes(sides, task));
  return kConstantBytes + TokenizersBytes(sides, task.kind) + kDatasetFactor * dataset + EncodeBytes(task, dataset) +
         measure;
}

absl::StatusOr<uint64_t> DecodeSpeedMemory(BlobStore& store, const Digest& model, const PlannedShapes* planned) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> measured, StoredModel::Open(store, model));
  // The cache is made of blocks of tokens, the last of which may be in part unused.
  const uint64_t tokens = Unsigned(kSpeedPromptTokens + kSpeedTokens) + 16;
  GWQ_ASSIGN_OR_RETURN(const uint64_t bytes,
                       WholeModelBytes({*measured, planned}, tokens, Unsigned(kSpeedPromptTokens)));
  return kConstantBytes + bytes;
}

}  // namespace gwq
