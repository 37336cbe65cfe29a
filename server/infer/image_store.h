// Image files that clients have uploaded. They are kept in memory, and requests name them by digest.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/base/sha256.h"

namespace gwq {

// Each principal sees only its own images. If `max_bytes` is exceeded, the principal that holds most loses the image
// that it used longest ago, so nobody can push out the images of others by uploading more. Thread-safe.
class ImageStore {
 public:
  explicit ImageStore(size_t max_bytes) : max_bytes_(max_bytes) {}

  // RESOURCE_EXHAUSTED if the file alone is larger than the store, or takes more memory than any other principal and
  // does not fit beside their images.
  [[nodiscard]] absl::StatusOr<Digest> Put(const std::string& principal, std::string file);
  // NOT_FOUND if the principal never uploaded it, or if it has been dropped.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const std::string>> Find(const std::string& principal,
                                                                        const Digest& digest);
  [[nodiscard]] size_t bytes() const;

 private:
  struct Entry {
    std::string digest;
    std::shared_ptr<const std::string> file;
  };
  struct Owner {
    std::list<Entry> entries;  // most recently used first
    size_t bytes = 0;
  };
  void Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_bytes_;
  mutable Mutex mutex_;
  std::map<std::string, Owner> owners_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
