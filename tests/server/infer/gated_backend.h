// A backend whose passes a test holds back.
#pragma once

#include <memory>
#include <utility>

#include "core/backend/backend.h"
#include "core/base/mutex.h"

namespace gwq::testing {

class GatedBackend final : public Backend {
 public:
  explicit GatedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  // From now on passes wait, or go on.
  void Close() { Set(false); }
  void Open() { Set(true); }
  // Blocks until a pass waits.
  void WaitHeld() {
    MutexLock lock(mutex_);
    while (held_ == 0) changed_.Wait(mutex_);
  }

  // Passes without a cache: stages of a vision tower.
  int tower_passes() {
    MutexLock lock(mutex_);
    return tower_passes_;
  }

  std::string_view name() const override { return inner_->name(); }
  absl::StatusOr<std::unique_ptr<Weight>> LoadDense(const TensorView& view) override { return inner_->LoadDense(view); }
  absl::StatusOr<std::unique_ptr<Weight>> LoadPacked(const PackedView& view) override {
    return inner_->LoadPacked(view);
  }
  absl::StatusOr<std::unique_ptr<KvCache>> CreateKvCache(const KvCacheShape& shape) override {
    return inner_->CreateKvCache(shape);
  }
  absl::StatusOr<std::unique_ptr<Pass>> Begin(const Batch& batch, KvCache* cache) override {
    {
      MutexLock lock(mutex_);
      ++held_;
      if (cache == nullptr) ++tower_passes_;
      changed_.NotifyAll();
      while (!open_) changed_.Wait(mutex_);
      --held_;
    }
    return inner_->Begin(batch, cache);
  }

 private:
  void Set(bool open) {
    MutexLock lock(mutex_);
    open_ = open;
    changed_.NotifyAll();
  }

  const std::unique_ptr<Backend> inner_;
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
  int held_ ABSL_GUARDED_BY(mutex_) = 0;
  int tower_passes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq::testing
