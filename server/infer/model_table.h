// The loaded models by name.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "server/infer/holds.h"
#include "server/infer/model_loader.h"
#include "server/infer/served_model.h"

namespace gwq {

// Thread-safe. Find and List never block for long; Load and Unload do.
class ModelTable {
 public:
  // All must outlive the table.
  ModelTable(ModelSource& source, Holds& holds, ModelLoader& loader)
      : source_(source), holds_(holds), loader_(loader) {}

  // Loads what `name` stands for, or answers it where it is loaded already. One load runs at a time: two would need the
  // memory of both at their peak. FAILED_PRECONDITION where it is loaded with other bytes or another context.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Load(const std::string& name, int64_t max_context_tokens,
                                                                  const std::function<absl::Status()>& check);
  // Takes the model out of the table, lets its requests finish until `until`, then ends them with UNAVAILABLE.
  [[nodiscard]] absl::Status Unload(const std::string& name, std::chrono::steady_clock::time_point until);
  // By resource name, or by the bare name: an artifact first, then a model. NOT_FOUND names what is loaded.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Find(const std::string& name) const;
  // By name.
  [[nodiscard]] std::vector<std::shared_ptr<ServedModel>> List() const;

 private:
  [[nodiscard]] absl::StatusOr<std::shared_ptr<ServedModel>> Present(const ResolvedModel& resolved,
                                                                     int64_t max_context_tokens) const;

  ModelSource& source_;
  Holds& holds_;
  ModelLoader& loader_;
  Mutex loading_;  // held for a whole load; before mutex_
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<ServedModel>> models_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
