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
#include "server/infer/holds.h"
#include "server/infer/model_loader.h"
#include "server/infer/served_model.h"

namespace gwq {

// Each principal has a table of its own: what it loaded under a name nobody else can find, list, unload or load into,
// also where another has the same bytes loaded, which then stand in memory twice. Thread-safe. Find and List never
// block for long; Load and Unload do.
class ModelTable {
 public:
  // All must outlive the table.
  ModelTable(ModelSource& source, Holds& holds, ModelLoader& loader)
      : source_(source), holds_(holds), loader_(loader) {}

  // Loads what `name` stands for to the caller, or answers it where that is loaded already. One load runs at a time:
  // two would need the memory of both at their peak. FAILED_PRECONDITION where the caller has it loaded with other
  // bytes or another context.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Load(const Caller& caller, const std::string& name,
                                                                  int64_t max_context_tokens,
                                                                  const std::function<absl::Status()>& check);
  // Takes the model out of the table, lets its requests finish until `until`, then ends them with UNAVAILABLE.
  [[nodiscard]] absl::Status Unload(const std::string& principal, const std::string& name,
                                    std::chrono::steady_clock::time_point until);
  // By resource name, or by the bare name: an artifact first, then a model. NOT_FOUND names what the principal has
  // loaded.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Find(const std::string& principal,
                                                                  const std::string& name) const;
  // By name.
  [[nodiscard]] std::vector<std::shared_ptr<ServedModel>> List(const std::string& principal) const;

 private:
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Present(const std::string& principal,
                                                                     const ResolvedModel& resolved,
                                                                     int64_t max_context_tokens) const;

  ModelSource& source_;
  Holds& holds_;
  ModelLoader& loader_;
  Mutex loading_;  // held for a whole load; before mutex_
  mutable Mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<ServedModel>> models_
      ABSL_GUARDED_BY(mutex_);  // by principal and name
};

}  // namespace gwq
