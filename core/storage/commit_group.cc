#include "core/storage/commit_group.h"

namespace gwq {
namespace {

constexpr int kThreads = 8;

}  // namespace

CommitGroup::CommitGroup() : executor_(kThreads, kThreads) {}

void CommitGroup::Commit(std::unique_ptr<BlobWriter> writer, Digest* digest) {
  {
    MutexLock lock(mutex_);
    while (under_way_ >= kThreads) changed_.Wait(mutex_);
    if (!status_.ok()) return;
    ++under_way_;
  }
  // A std::function must be copyable, a unique_ptr is not.
  const std::shared_ptr<BlobWriter> shared = std::move(writer);
  const absl::Status posted = executor_.Post([this, shared, digest] { Run(*shared, digest); });
  if (!posted.ok()) Run(*shared, digest);
}

void CommitGroup::Run(BlobWriter& writer, Digest* digest) {
  const absl::StatusOr<Digest> committed = writer.Commit();
  if (committed.ok()) *digest = *committed;
  MutexLock lock(mutex_);
  if (status_.ok()) status_ = committed.status();
  --under_way_;
  changed_.NotifyAll();
}

absl::Status CommitGroup::Finish() {
  MutexLock lock(mutex_);
  while (under_way_ > 0) changed_.Wait(mutex_);
  return status_;
}

}  // namespace gwq
