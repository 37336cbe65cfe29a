#include "server/infer/models/model_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

std::string Mib(uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

absl::Status CheckContext(const ServedModel& model, int64_t max_context_tokens) {
  const int64_t context = model.engine().limits().max_context_tokens;
  // A load cuts what it is asked for to the cache, so the same request finds the same model.
  if (max_context_tokens == 0 || std::min(max_context_tokens, model.engine().cache_tokens()) == context) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(fmt::format("{} is loaded with a context of {} tokens, not {}; unload it first",
                                                   model.name(), context, max_context_tokens));
}

// A source that is full or about to stop answers no more than one that is gone.
bool CannotAnswer(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

}  // namespace

absl::StatusOr<std::shared_ptr<ServedModel>> ModelTable::Present(const std::string& principal,
                                                                 const ResolvedModel& resolved,
                                                                 int64_t max_context_tokens) const {
  const auto found = models_.find({principal, resolved.name});
  if (found == models_.end()) return std::shared_ptr<ServedModel>();
  const ServedModel& model = *found->second;
  if (model.digest() != resolved.digest.Hex()) {
    return absl::FailedPreconditionError(fmt::format("{} is loaded with digest {} and now means {}; unload it first",
                                                     resolved.name, model.digest(), resolved.digest.Hex()));
  }
  GWQ_RETURN_IF_ERROR(CheckContext(model, max_context_tokens));
  return found->second;
}

absl::Status ModelTable::CheckFields(const std::string& name, int64_t max_context_tokens) {
  if (name.empty()) return InvalidField("name", "is empty; it names a model or artifact of gwq-jobs");
  if (max_context_tokens >= 0) return absl::OkStatus();
  return InvalidField("max_context_tokens", fmt::format("{} is negative; 0 takes the model's own", max_context_tokens));
}

absl::StatusOr<std::shared_ptr<ServedModel>> ModelTable::Loaded(const Caller& caller, const std::string& name,
                                                                int64_t max_context_tokens) {
  GWQ_RETURN_IF_ERROR(CheckFields(name, max_context_tokens));
  if (!Find(caller.principal, name).ok()) return std::shared_ptr<ServedModel>();
  const absl::StatusOr<ResolvedModel> resolved = source_.Resolve(caller, name, OnUnavailable::kFail);
  if (CannotAnswer(resolved.status())) {
    // An unload may have come between. The hold stays with the token that gwq-jobs has accepted.
    const auto found = Find(caller.principal, name);
    if (!found.ok()) return std::shared_ptr<ServedModel>();
    GWQ_RETURN_IF_ERROR(CheckContext(**found, max_context_tokens));
    return found;
  }
  GWQ_RETURN_IF_ERROR(resolved.status());
  // An unload gives the hold up after it has taken the model out, so that what is kept here is not left over.
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<ServedModel> present, Present(caller.principal, *resolved, max_context_tokens));
  // The token that came last is the one that renews it.
  if (present != nullptr) holds_.Keep(caller, *resolved);
  return present;
}

absl::StatusOr<std::shared_ptr<ServedModel>> ModelTable::Load(const Caller& caller, const std::string& name,
                                                              int64_t max_context_tokens,
                                                              const std::function<absl::Status()>& check) {
  MutexLock one_load(loading_);
  GWQ_RETURN_IF_ERROR(check());
  // The load that this one waited for may have been of the same.
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<ServedModel> present, Loaded(caller, name, max_context_tokens));
  if (present != nullptr) return present;
  GWQ_ASSIGN_OR_RETURN(const ResolvedModel resolved, source_.Resolve(caller, name, OnUnavailable::kWait));
  {
    MutexLock lock(mutex_);
    // A bare name may by now mean another one that is loaded.
    GWQ_ASSIGN_OR_RETURN(present, Present(caller.principal, resolved, max_context_tokens));
    holds_.Keep(caller, resolved);
  }
  if (present != nullptr) return present;
  const auto admit = [&](uint64_t bytes) { return Admit(caller.principal, resolved.name, bytes); };
  absl::StatusOr<std::shared_ptr<ServedModel>> loaded =
      loader_.Load(caller.principal, resolved, max_context_tokens, admit, check);
  // The kernels' layout of the weights may take more than what is stored.
  if (loaded.ok()) {
    if (absl::Status room = admit((*loaded)->memory_bytes()); !room.ok()) loaded = std::move(room);
  }
  if (!loaded.ok()) {
    holds_.Drop(caller.principal, resolved.name);
    return loaded;
  }
  MutexLock lock(mutex_);
  models_[{caller.principal, resolved.name}] = *loaded;
  resident_.emplace_back(caller.principal, *loaded);
  return loaded;
}

std::vector<ModelTable::Resident> ModelTable::InMemory() {
  std::vector<Resident> out;
  MutexLock lock(mutex_);
  std::erase_if(resident_, [](const auto& entry) { return entry.second.expired(); });
  for (const auto& [principal, model] : resident_) {
    if (auto held = model.lock()) out.push_back({principal, std::move(held)});
  }
  return out;
}

absl::Status ModelTable::Admit(const std::string& principal, const std::string& name, uint64_t bytes) {
  if (max_loaded_bytes_ == 0) return absl::OkStatus();
  uint64_t taken = 0, others = 0;
  std::vector<std::string> loaded;
  for (const auto& [owner, model] : InMemory()) {
    taken += model->memory_bytes();
    if (owner == principal) {
      loaded.push_back(fmt::format("{} with {}", model->name(), Mib(model->memory_bytes())));
    } else {
      others += model->memory_bytes();
    }
  }
  if (bytes <= max_loaded_bytes_ && taken <= max_loaded_bytes_ - bytes) return absl::OkStatus();
  if (others > 0) loaded.push_back("other principals' with " + Mib(others));
  return absl::ResourceExhaustedError(fmt::format(
      "{} needs {} for weights and cache, the limit of all loaded models is {} (max-loaded-mib); loaded: {}. Unload "
      "one (gwq serve unload), or raise the limit or lower the caches of gwq-infer",
      name, Mib(bytes), Mib(max_loaded_bytes_), loaded.empty() ? "none" : fmt::format("{}", fmt::join(loaded, ", "))));
}

absl::Status ModelTable::Unload(const std::string& principal, const std::string& name,
                                std::chrono::steady_clock::time_point until) {
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<ServedModel> model, Find(principal, name));
  const std::string full_name = model->name();
  {
    MutexLock lock(mutex_);
    if (models_.erase({principal, full_name}) == 0) {
      return absl::NotFoundError(fmt::format("model '{}' is being unloaded already", name));
    }
  }
  model->engine().StopAccepting();
  if (!model->engine().WaitUntilIdle(until)) {
    model->engine().Abort(absl::UnavailableError(fmt::format("{} was unloaded; ask again elsewhere", full_name)));
  }
  model.reset();
  malloc_trim(0);  // weights came in many pieces that the allocator would keep
  // It may have been loaded anew meanwhile, and then the hold is in use.
  MutexLock no_load(loading_);
  bool present;
  {
    MutexLock lock(mutex_);
    present = models_.contains({principal, full_name});
  }
  if (!present) holds_.Drop(principal, full_name);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<ServedModel>> ModelTable::Find(const std::string& principal,
                                                              const std::string& name) const {
  if (name.empty()) return InvalidField("model", "is empty; ListLoadedModels lists the names");
  MutexLock lock(mutex_);
  for (const std::string& full : {name, "artifacts/" + name, "models/" + name}) {
    if (const auto found = models_.find({principal, full}); found != models_.end()) return found->second;
  }
  std::vector<std::string> names;
  for (const auto& [key, model] : models_) {
    if (key.first == principal) names.push_back(key.second);
  }
  return absl::NotFoundError(
      fmt::format("model '{}' is not loaded here; loaded: {}. Load it with LoadModel (gwq serve load)",
                  name.substr(0, 200), names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

std::vector<std::shared_ptr<ServedModel>> ModelTable::List(const std::string& principal) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<ServedModel>> out;
  for (const auto& [key, model] : models_) {
    if (key.first == principal) out.push_back(model);
  }
  return out;
}

}  // namespace gwq
