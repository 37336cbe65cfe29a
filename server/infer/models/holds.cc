#include "server/infer/models/holds.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/status.h"

namespace gwq {

Holds::Holds(ModelSource& source, const Log& log) : source_(source), log_(log) {
  if (source_.hold_millis() > 0) thread_ = std::thread([this] { Run(); });
}

Holds::~Holds() {
  KeptByName left;
  {
    MutexLock lock(mutex_);
    exiting_ = true;
    left.swap(kept_);
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  // A source that is away lets every call run its whole time: one such is enough.
  absl::Status status = cut_renewal_;
  for (const auto& [key, hold] : left) {
    if (!absl::IsUnavailable(status)) status = source_.Release(hold.caller, hold.digest);
    LogUnreleased(key.second, hold, status);
  }
}

void Holds::Keep(const Caller& caller, const ResolvedModel& model) {
  MutexLock lock(mutex_);
  kept_[{caller.principal, model.name}] = {caller, model.digest};
}

void Holds::Drop(const std::string& principal, const std::string& name) {
  Kept dropped;
  {
    MutexLock lock(mutex_);
    const auto found = kept_.find({principal, name});
    if (found == kept_.end()) return;
    dropped = std::move(found->second);
    kept_.erase(found);
    // One hold serves all names that a principal has for the same bytes.
    if (std::ranges::any_of(kept_, [&](const auto& entry) {
          return entry.first.first == principal && entry.second.digest == dropped.digest;
        })) {
      return;
    }
  }
  LogUnreleased(name, dropped, source_.Release(dropped.caller, dropped.digest));
}

void Holds::LogUnreleased(const std::string& name, const Kept& hold, const absl::Status& status) {
  if (status.ok()) return;
  log_.Write(LogLevel::kWarning, "hold not released; it runs out by itself",
             {{"principal", hold.caller.principal}, {"model", name}, {"error", MessageOf(status)}});
}

bool Holds::Exiting() {
  MutexLock lock(mutex_);
  return exiting_;
}

absl::Status Holds::RenewAll() {
  KeptByName kept;
  {
    MutexLock lock(mutex_);
    kept = kept_;
  }
  for (const auto& [key, hold] : kept) {
    const auto& [principal, name] = key;
    const absl::StatusOr<ResolvedModel> renewed = source_.Resolve(hold.caller, name, OnUnavailable::kWait);
    if (!renewed.ok()) {
      log_.Write(LogLevel::kWarning, "hold not renewed",
                 {{"principal", principal}, {"model", name}, {"error", MessageOf(renewed.status())}});
    } else if (renewed->digest != hold.digest) {
      log_.Write(
          LogLevel::kWarning, "the name now means other bytes than those loaded",
          {{"principal", principal}, {"model", name}, {"loaded", hold.digest.Hex()}, {"now", renewed->digest.Hex()}});
    }
    if (Exiting()) return renewed.status();
  }
  return absl::OkStatus();
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
    cut_renewal_ = RenewAll();
  }
}

}  // namespace gwq
