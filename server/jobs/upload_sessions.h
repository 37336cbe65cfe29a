// Open uploads: their declared contents, and what of it is still missing.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "server/jobs/context.h"
#include "server/jobs/upload_contents.h"

namespace gwq {

// Thread-safe; calls block on the catalogue.
class UploadSessions {
 public:
  explicit UploadSessions(const JobsContext& context) : context_(context) {}

  // NOT_FOUND for another principal's; otherwise as AssembleUpload. Kept in memory for the uploads that were used last.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const UploadContents>> Contents(const std::string& principal,
                                                                               const std::string& upload);
  // Drops what is kept of it: its pages changed.
  void Forget(const std::string& upload);

  // The key of a blob's partial bytes in the store.
  [[nodiscard]] static std::string PartialKey(const std::string& upload, const Digest& blob);

  struct Missing {
    Digest digest;
    uint64_t size = 0;
    uint64_t received = 0;
  };
  // By digest.
  [[nodiscard]] absl::StatusOr<std::vector<Missing>> ListMissing(const std::string& upload,
                                                                 const UploadContents& contents);

 private:
  struct Entry {
    std::string upload;
    std::shared_ptr<const UploadContents> contents;
  };
  const JobsContext& context_;
  Mutex mutex_;
  std::deque<Entry> recent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
