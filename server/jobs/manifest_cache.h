// Which blobs a manifest names, for ranged reads that ask it again and again.
#pragma once

#include <deque>
#include <memory>
#include <unordered_set>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/storage/blob_store.h"

namespace gwq {

using DigestSet = std::unordered_set<Digest, absl::Hash<Digest>>;

// Thread-safe; keeps the last few.
class ManifestCache {
 public:
  // The blobs that the stored manifest names, its own included.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const DigestSet>> BlobsOf(BlobStore& store, const Digest& manifest);

 private:
  static constexpr size_t kKept = 8;
  Mutex mutex_;
  std::deque<std::pair<Digest, std::shared_ptr<const DigestSet>>> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
