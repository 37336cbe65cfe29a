#include "server/infer/holds.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/status.h"

namespace gwq {

Holds::Holds(ModelSource& source, const Log& log) : source_(source), log_(log) {
  if (source_.hold_millis() > 0) thread_ = std::thread([this] { Run(); });
}

Holds::~Holds() {
  std::map<std::string, Digest> left;
  {
    MutexLock lock(mutex_);
    exiting_ = true;
    left.swap(kept_);
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  for (const auto& [name, digest] : left) Release(name, digest);
}

void Holds::Keep(const ResolvedModel& model) {
  MutexLock lock(mutex_);
  kept_[model.name] = model.digest;
}

void Holds::Drop(const std::string& name) {
  Digest digest;
  {
    MutexLock lock(mutex_);
    const auto found = kept_.find(name);
    if (found == kept_.end()) return;
    digest = found->second;
    kept_.erase(found);
    // One hold serves all names of the same bytes.
    if (std::ranges::any_of(kept_, [&](const auto& entry) { return entry.second == digest; })) return;
  }
  Release(name, digest);
}

void Holds::Release(const std::string& name, const Digest& digest) {
  const absl::Status status = source_.Release(digest);
  if (!status.ok()) {
    log_.Write(LogLevel::kWarning, "hold not released; it runs out by itself",
               {{"model", name}, {"error", MessageOf(status)}});
  }
}

void Holds::RenewAll() {
  std::map<std::string, Digest> kept;
  {
    MutexLock lock(mutex_);
    kept = kept_;
  }
  for (const auto& [name, digest] : kept) {
    const absl::StatusOr<ResolvedModel> renewed = source_.Resolve(name);
    if (!renewed.ok()) {
      log_.Write(LogLevel::kWarning, "hold not renewed", {{"model", name}, {"error", MessageOf(renewed.status())}});
    } else if (renewed->digest != digest) {
      log_.Write(LogLevel::kWarning, "the name now means other bytes than those loaded",
                 {{"model", name}, {"loaded", digest.Hex()}, {"now", renewed->digest.Hex()}});
    }
  }
}

void Holds::Run() {
  const std::chrono::milliseconds period(source_.hold_millis() / 3);
  for (;;) {
    {
      MutexLock lock(mutex_);
      const auto next = std::chrono::steady_clock::now() + period;
      while (!exiting_ && changed_.WaitUntil(mutex_, next)) {
      }
      if (exiting_) return;
    }
    RenewAll();
  }
}

}  // namespace gwq
