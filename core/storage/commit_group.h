// Commits of several blobs side by side. A commit is mostly waiting for the device, and the journal of a file system
// takes many waiting syncs in one write: eight side by side are about seven times as fast as one after the other.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/base/thread_pool.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Not thread-safe. The destructor waits for the commits that are running.
class CommitGroup {
 public:
  CommitGroup();

  // Commits `writer` on another thread, and waits if many commits are running. `digest` is written before Finish
  // returns OK and must live until then. After an error nothing more is committed.
  void Commit(std::unique_ptr<BlobWriter> writer, Digest* digest);
  // The first error, or OK once every blob is durable.
  [[nodiscard]] absl::Status Finish();

 private:
  void Run(BlobWriter& writer, Digest* digest);

  Mutex mutex_;
  CondVar changed_;
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  Executor executor_;  // last, so that its threads end before the members that they use
};

}  // namespace gwq
