// Image files that clients uploaded, in memory, so that requests can name them by their digest.
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

// Each principal sees its own images alone. Where `max_bytes` are exceeded, whoever holds most loses the image it used
// longest ago: nobody can push out what others hold by uploading more. Thread-safe.
class ImageStore {
 public:
  explicit ImageStore(size_t max_bytes) : max_bytes_(max_bytes) {}

  // RESOURCE_EXHAUSTED where the file alone is larger than the store.
  [[nodiscard]] absl::StatusOr<Digest> Put(const std::string& principal, std::string file);
  // NOT_FOUND where the principal never uploaded it, or it had to go.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const std::string>> Find(const std::string& principal,
                                                                        const Digest& digest);
  [[nodiscard]] size_t bytes() const;

 private:
  struct Entry {
    std::string digest;
    std::shared_ptr<const std::string> file;
  };
  struct Owner {
    std::list<Entry> entries;  // used last comes first
    size_t bytes = 0;
  };
  void Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_bytes_;
  mutable Mutex mutex_;
  std::map<std::string, Owner> owners_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
