#include "core/evaluation/memory.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/evaluation/answers.h"
#include "core/evaluation/choice_walk.h"
#include "core/evaluation/model_check.h"
#include "core/manifest/limits.h"
#include "core/models/cache_shape.h"

namespace gwq {
namespace {

// As in peak_memory.cc.
constexpr uint64_t kConstantBytes = uint64_t{384} << 20;
constexpr uint64_t kTokenizerFactor = 24;
constexpr uint64_t kForwardCopies = 3;
constexpr uint64_t kLogitRows = 64;
constexpr uint64_t kLogitCopies = 4;
static_assert(kChoiceLogitRows <= int64_t{kLogitRows} && kAnswerLogitRows <= int64_t{kLogitRows});
// A dataset's file, its parsed lines, its tokens and its results, as a multiple of the file.
constexpr uint64_t kDatasetFactor = 24;

uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }

// Bytes as a kernel's layout may take them: a quarter more than what is stored.
uint64_t Laid(uint64_t stored) { return stored * 5 / 4; }

struct StageSizes {
  uint64_t block = 0;   // largest stage but the head
  uint64_t head = 0;    // a tied one too
  uint64_t tensor = 0;  // largest mapped tensor
};

StageSizes SizesOf(const StoredModel& model) {
  std::vector<uint64_t> stages(static_cast<size_t>(model.model()->stages()));
  StageSizes sizes;
  uint64_t embedding = 0;
  for (const TensorSpec& spec : model.model()->tensors()) {
    const ManifestTensor* const tensor = model.Find(spec.name);
    if (tensor == nullptr || static_cast<size_t>(spec.stage) >= stages.size()) continue;
    stages[static_cast<size_t>(spec.stage)] += tensor->size;
    sizes.tensor = std::max(sizes.tensor, tensor->size);
    if (spec.kind == TensorKind::kEmbedding) embedding = tensor->size;
  }
  sizes.head = stages.back() + (model.model()->config().tied_head ? embedding : 0);
  stages.pop_back();
  sizes.block = *std::max_element(stages.begin(), stages.end());
  return sizes;
}

uint64_t TokenizerBytes(const StoredModel& model) {
  const ManifestFile* const file = model.manifest().FindFile("tokenizer.json");
  return file == nullptr ? 0 : file->size * kTokenizerFactor;
}

// Floats of all [1, width] values of one block's pass.
uint64_t Widths(const ModelConfig& config) {
  const int64_t heads = config.attention.heads + 2 * config.attention.kv_heads;
  return Unsigned(4 * config.hidden_size + 3 * config.intermediate_size + 2 * heads * config.attention.head_dim);
}

// Of one layer.
uint64_t CacheBytes(const ModelConfig& config, uint64_t tokens) {
  return tokens * Unsigned(CacheTokenBytes(config, 1));
}

uint64_t LogitBytes(const ModelConfig& config) { return kLogitCopies * kLogitRows * Unsigned(config.vocab_size) * 4; }

// States and a stage of one side; both heads are alive together.
uint64_t TextBytes(const StoredModel& model, const StoredModel* reference, const EvaluationTask& task) {
  const uint64_t tokens = Unsigned(task.tokens);
  const uint64_t window = std::min(tokens, Unsigned(task.window));
  uint64_t held = 0, stage = 0, heads = 0;
  for (const StoredModel* side : {&model, reference}) {
    if (side == nullptr) continue;
    const ModelConfig& config = side->model()->config();
    const StageSizes sizes = SizesOf(*side);
    held += tokens * Unsigned(config.hidden_size) * 4 + CacheBytes(config, window + 16);
    stage = std::max(stage, Laid(sizes.block) + sizes.tensor + kForwardCopies * window * Widths(config) * 4);
    heads += Laid(sizes.head) + sizes.tensor + LogitBytes(config) + window * Unsigned(config.hidden_size) * 4;
  }
  return held + std::max(stage, heads);
}

// The sides come one after the other. The cache holds the prompts of a pass, or a long one, each with its longest
// choice.
uint64_t ChoiceBytes(const StoredModel& model) {
  const ModelConfig& config = model.model()->config();
  const StageSizes sizes = SizesOf(model);
  const auto wave = Unsigned(kChoiceWaveRows);
  const auto rows = Unsigned(kChoicePassRows);
  const uint64_t states = (wave + 2 * rows) * Unsigned(config.hidden_size) * 4;
  const uint64_t cache = CacheBytes(config, 2 * wave);
  const uint64_t block = Laid(sizes.block) + kForwardCopies * rows * Widths(config) * 4;
  return states + cache + sizes.tensor + std::max(block, Laid(sizes.head) + LogitBytes(config));
}

// Decoding and preparing one image: pixels as they came and resized, patches, and the tower's pass over them.
constexpr uint64_t kImageBytes = uint64_t{768} << 20;
// A reference's logits over the steps of a wave's answers; one question may take more than its share.
constexpr uint64_t kReferenceLogitBytes = uint64_t{256} << 20;

// The whole model, and a cache of all its blocks.
uint64_t ImageBytes(const StoredModel& model) {
  const ModelConfig& config = model.model()->config();
  uint64_t weights = 0;
  for (const TensorSpec& spec : model.model()->tensors()) {
    const ManifestTensor* const tensor = model.Find(spec.name);
    if (tensor != nullptr) weights += tensor->size;
  }
  const uint64_t cache = CacheBytes(config, Unsigned(kAnswerCacheTokens)) * Unsigned(config.blocks);
  const uint64_t rows = Unsigned(kAnswerCacheTokens) * Unsigned(config.hidden_size) * 4;
  const uint64_t pass = kForwardCopies * Unsigned(kAnswerPassRows) * Widths(config) * 4;
  return Laid(weights) + SizesOf(model).tensor + cache + rows + pass + LogitBytes(config);
}

absl::StatusOr<uint64_t> DatasetBytes(BlobStore& store, const EvaluationTask& task) {
  if (task.dataset.empty()) return uint64_t{0};
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(task.dataset));
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, digest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  uint64_t bytes = 0;
  for (const ManifestFile& file : manifest.files) {
    if (file.path.ends_with(".jsonl") || file.path.ends_with(".txt")) bytes += file.size;
  }
  return bytes * kDatasetFactor;
}

}  // namespace

absl::StatusOr<uint64_t> EvaluationMemory(BlobStore& store, const Digest& model, const std::optional<Digest>& reference,
                                          const EvaluationTask& task, std::string_view path) {
  GWQ_RETURN_IF_ERROR(CheckEvaluationTask(task, path));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> measured, StoredModel::Open(store, model));
  std::unique_ptr<const StoredModel> against;
  if (reference) {
    GWQ_ASSIGN_OR_RETURN(against, StoredModel::Open(store, *reference));
  }
  GWQ_RETURN_IF_ERROR(CheckEvaluationModels(*measured, against.get(), task, path));
  GWQ_ASSIGN_OR_RETURN(const uint64_t dataset, DatasetBytes(store, task));
  uint64_t bytes = 0;
  uint64_t texts = TokenizerBytes(*measured);
  if (task.kind == EvaluationKind::kText) {
    bytes = TextBytes(*measured, against.get(), task);
  } else if (task.kind != EvaluationKind::kChoices) {
    bytes = kImageBytes + ImageBytes(*measured);
    if (against != nullptr) {
      const ModelConfig& config = against->model()->config();
      bytes += ImageBytes(*against) +
               std::max(kReferenceLogitBytes, Unsigned(config.vocab_size) * Unsigned(task.max_tokens) * 4);
      texts += TokenizerBytes(*against);
    }
  } else {
    bytes = ChoiceBytes(*measured);
    if (against != nullptr) {
      bytes = std::max(bytes, ChoiceBytes(*against));
      texts = std::max(texts, TokenizerBytes(*against));
    }
  }
  return kConstantBytes + texts + dataset + bytes;
}

}  // namespace gwq
