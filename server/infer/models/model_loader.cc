#include "server/infer/models/model_loader.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <utility>

#include "core/artifact/stop_ids.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/stored_processor.h"
#include "core/base/status.h"
#include "core/engine/step_model.h"
#include "core/io/file_system.h"
#include "core/models/cache_shape.h"
#include "core/spec/quality_gate.h"
#include "core/storage/local_blob_store.h"

namespace gwq {
namespace {

// Two principals may serve models of one name.
MetricLabels LabelsOf(const std::string& principal, const std::string& model) {
  MetricLabels labels = {{"model", model}};
  if (principal != kLocalPrincipal) labels.emplace_back("principal", principal);
  return labels;
}

// Of keys and values in all layers.
int64_t TokenBytes(const ModelConfig& config) { return CacheTokenBytes(config, config.blocks); }

// A configuration may name more than 64 bits hold; no machine has the bound either.
uint64_t CacheBytes(const ModelConfig& config, int64_t tokens) {
  return static_cast<uint64_t>(std::min(1e18, static_cast<double>(TokenBytes(config)) * static_cast<double>(tokens)));
}

// Of the weights that the model uses.
uint64_t StoredBytes(const StoredModel& stored) {
  uint64_t bytes = 0;
  for (const TensorSpec& spec : stored.model()->tensors()) {
    if (const ManifestTensor* const tensor = stored.Find(spec.name)) bytes += tensor->size;
  }
  return bytes;
}

// A stored model with what stands beside its weights.
struct OpenModel {
  std::unique_ptr<const StoredModel> stored;
  std::unique_ptr<const ModelText> text;
  std::unique_ptr<const ImageProcessor> processor;  // null: it sees no images

  [[nodiscard]] const ModelConfig& config() const { return stored->model()->config(); }
};

absl::StatusOr<OpenModel> Open(BlobStore& store, const Digest& digest) {
  OpenModel model;
  GWQ_ASSIGN_OR_RETURN(model.stored, StoredModel::Open(store, digest));
  GWQ_RETURN_IF_ERROR(CheckStoredGate(model.stored->manifest().quality_json));
  GWQ_ASSIGN_OR_RETURN(const auto files, model.stored->TextFiles());
  GWQ_ASSIGN_OR_RETURN(model.text, ModelText::Load(files));
  GWQ_RETURN_IF_ERROR(CheckStopIds(files, *model.text, model.config()));
  if (model.stored->model()->vision() != nullptr) {
    GWQ_ASSIGN_OR_RETURN(model.processor, ReadImageProcessor(files, *model.config().vision));
  }
  return model;
}

absl::Status CheckContext(int64_t max_context_tokens, const ModelConfig& config) {
  if (max_context_tokens <= config.max_positions) return absl::OkStatus();
  return InvalidField("max_context_tokens",
                      fmt::format("{} is above the model's {} positions", max_context_tokens, config.max_positions));
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadWeights(const StoredModel& stored, Backend& backend,
                                                               const std::function<absl::Status()>& check) {
  const std::unique_ptr<WeightLoader> weights = MakeWeightLoader(stored, backend);
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const LoadedModel> loaded,
                       LoadedModel::Load(stored.model(), *weights, [&](int, int) { return check(); }));
  // Repacking leaves freed pages in the allocator, which would count as this process's memory for good.
  malloc_trim(0);
  return loaded;
}

}  // namespace

absl::StatusOr<BlobStore*> ModelLoader::StoreAt(const std::string& root) {
  MutexLock lock(mutex_);
  std::unique_ptr<BlobStore>& store = stores_[root];
  if (store == nullptr) {
    GWQ_ASSIGN_OR_RETURN(store, OpenLocalBlobStore(LocalFileSystem(), root, clock_));
  }
  return store.get();
}

int64_t ModelLoader::CacheTokens(const ModelConfig& config) const {
  const int64_t blocks = options_.cache_bytes == 0 ? CacheBlocksFor(options_.cache_tokens)
                                                   : options_.cache_bytes / (TokenBytes(config) * kCacheBlockTokens);
  return std::max<int64_t>(blocks, 1) * kCacheBlockTokens;
}

absl::StatusOr<std::shared_ptr<ServedModel>> ModelLoader::Load(const std::string& principal,
                                                               const ResolvedModel& resolved,
                                                               int64_t max_context_tokens,
                                                               const std::function<absl::Status(uint64_t)>& admit,
                                                               const std::function<absl::Status()>& check) {
  GWQ_ASSIGN_OR_RETURN(BlobStore* const store, StoreAt(resolved.blob_root));
  GWQ_ASSIGN_OR_RETURN(OpenModel open, Open(*store, resolved.digest));
  const ModelConfig& config = open.config();
  GWQ_RETURN_IF_ERROR(CheckContext(max_context_tokens, config));
  GWQ_RETURN_IF_ERROR(admit(StoredBytes(*open.stored) + CacheBytes(config, CacheTokens(config))));
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const LoadedModel> loaded, LoadWeights(*open.stored, backend_, check));

  EngineOptions engine = options_.engine;
  engine.max_context_tokens = max_context_tokens > 0 ? max_context_tokens : config.max_positions;
  ServedModelInfo info{.name = resolved.name,
                       .digest = resolved.digest.Hex(),
                       .architecture = config.architecture,
                       .weight_bytes = loaded->weight_bytes(),
                       .kernels = options_.kernels};
  const MetricLabels labels = LabelsOf(principal, resolved.name);
  std::unique_ptr<ServedVision> vision;
  if (open.processor != nullptr) {
    vision = std::make_unique<ServedVision>(loaded, std::move(open.processor), backend_, fifo_lock_, metrics_, labels);
  }
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<StepModel> model,
                       MakeStepModel(std::move(loaded), backend_, fifo_lock_, CacheTokens(config)));
  auto observer = std::make_unique<EngineMetrics>(metrics_, labels);
  return std::make_shared<ServedModel>(std::move(info), std::move(open.text), std::move(vision), std::move(observer),
                                       std::move(model), engine, clock_);
}

}  // namespace gwq
