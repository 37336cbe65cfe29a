// The loaded models by principal and name.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "server/infer/models/holds.h"
#include "server/infer/models/model_loader.h"
#include "server/infer/models/served_model.h"

namespace gwq {

// Each principal has its own names: no other principal can find, list or unload its models, or load into them. If two
// principals load the same bytes, they are in memory twice. Thread-safe. Find and List never block for long; Load and
// Unload do.
class ModelTable {
 public:
  // All must outlive the table. `max_loaded_bytes` limits the weights and caches of all principals' models together,
  // including those that are being unloaded; 0: no limit.
  ModelTable(ModelSource& source, Holds& holds, ModelLoader& loader, uint64_t max_loaded_bytes = 0)
      : source_(source), holds_(holds), loader_(loader), max_loaded_bytes_(max_loaded_bytes) {}

  // What Load would return without loading; null if it must load. Does not wait for other loads. If the source is away
  // (UNAVAILABLE, or too busy to answer), it is the result of Find, if that has the same context: whether the name now
  // means other bytes is known only when the source is back. FAILED_PRECONDITION if the name is loaded with other bytes
  // or another context.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Loaded(const Caller& caller, const std::string& name,
                                                                    int64_t max_context_tokens);
  // Loads what `name` means to the caller, or returns it as Loaded does. One load runs at a time, because two would
  // need the peak memory of both. RESOURCE_EXHAUSTED if it would exceed the limit; the message says what the caller has
  // loaded.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Load(const Caller& caller, const std::string& name,
                                                                  int64_t max_context_tokens,
                                                                  const std::function<absl::Status()>& check);
  // Takes the model out of the table, lets its requests finish until `until`, and then ends them with UNAVAILABLE.
  [[nodiscard]] absl::Status Unload(const std::string& principal, const std::string& name,
                                    std::chrono::steady_clock::time_point until);
  // By resource name, or by the bare name: an artifact first, then a model. NOT_FOUND names what the principal has
  // loaded.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Find(const std::string& principal,
                                                                  const std::string& name) const;
  // By name.
  [[nodiscard]] std::vector<std::shared_ptr<ServedModel>> List(const std::string& principal) const;

 private:
  // Null if it is not loaded.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Present(const std::string& principal,
                                                                     const ResolvedModel& resolved,
                                                                     int64_t max_context_tokens) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] static absl::Status CheckFields(const std::string& name, int64_t max_context_tokens);

  // Whether `bytes` more fit the limit; RESOURCE_EXHAUSTED for `name` if they do not.
  [[nodiscard]] absl::Status Admit(const std::string& principal, const std::string& name, uint64_t bytes);
  struct Resident {
    std::string principal;
    std::shared_ptr<const ServedModel> model;
  };
  // The models that use memory: loaded ones and those that are being unloaded.
  [[nodiscard]] std::vector<Resident> InMemory();

  ModelSource& source_;
  Holds& holds_;
  ModelLoader& loader_;
  const uint64_t max_loaded_bytes_;
  Mutex loading_;        // held for a whole load; before mutex_
  mutable Mutex mutex_;  // before that of holds_
  std::map<std::pair<std::string, std::string>, std::shared_ptr<ServedModel>> models_
      ABSL_GUARDED_BY(mutex_);  // by principal and name
  // All models that may still be in memory, with their principals.
  std::vector<std::pair<std::string, std::weak_ptr<const ServedModel>>> resident_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
