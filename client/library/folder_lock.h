// One writer at a time in a folder of this machine.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace gwq::client {

// Held until destroyed, against other processes and other locks of this one; the kernel releases it when the process
// dies. It stands on the folder itself: nothing is left in it. Thread-safe.
class FolderLock {
 public:
  // Of a folder that is there. UNAVAILABLE at once, naming the folder, while somebody else holds it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<FolderLock>> Take(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}

  const int descriptor_;
};

}  // namespace gwq::client
