// Loads a resolved name as a model that can answer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/engine/fifo_lock.h"
#include "core/storage/blob_store.h"
#include "server/common/metrics.h"
#include "server/infer/models/model_source.h"
#include "server/infer/models/served_model.h"

namespace gwq {

struct LoadOptions {
  int64_t cache_tokens = 8192;  // rounded up to whole blocks
  int64_t cache_bytes = 0;      // rounded down to whole blocks, but one at least; 0: as cache_tokens says
  std::string kernels;          // the name of the kernels that Describe returns
  EngineOptions engine;         // max_context_tokens is set by each load
};

// Thread-safe; blocks on disk and processor.
class ModelLoader {
 public:
  // All but `options` must outlive the loader and the models that it has loaded.
  ModelLoader(Backend& backend, Metrics& metrics, const Clock& clock, const LoadOptions& options)
      : backend_(backend), metrics_(metrics), clock_(clock), options_(options) {}

  // The model's metrics have the label `principal` unless it is local. `max_context_tokens` 0: the model's own limit,
  // cut to the cache. `admit` is called before the weights are loaded, with the bytes of the stored weights and the
  // cache; `check` is called between stages. Each ends the load with its error. In addition to the result a load holds
  // one stage's mapped blobs.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Load(const std::string& principal,
                                                                  const ResolvedModel& resolved,
                                                                  int64_t max_context_tokens,
                                                                  const std::function<absl::Status(uint64_t)>& admit,
                                                                  const std::function<absl::Status()>& check);

 private:
  [[nodiscard]] absl::StatusOr<BlobStore*> StoreAt(const std::string& root);
  // Of whole blocks.
  [[nodiscard]] int64_t CacheTokens(const ModelConfig& config) const;

  Backend& backend_;
  Metrics& metrics_;
  const Clock& clock_;
  const LoadOptions options_;
  FifoLock fifo_lock_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<BlobStore>> stores_ ABSL_GUARDED_BY(mutex_);  // by folder
};

}  // namespace gwq
