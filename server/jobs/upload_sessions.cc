#include "server/jobs/upload_sessions.h"

#include <fmt/format.h>

#include "core/base/status.h"

namespace gwq {
namespace {

// A manifest of 10,000 tensors takes a few MB.
constexpr size_t kRecent = 4;

}  // namespace

absl::StatusOr<std::shared_ptr<const UploadContents>> UploadSessions::Contents(const std::string& principal,
                                                                               const std::string& upload) {
  // Asked first, so that another principal never learns of it from memory.
  GWQ_RETURN_IF_ERROR(context_.catalogue.GetUpload(principal, upload).status());
  {
    MutexLock lock(mutex_);
    for (const Entry& entry : recent_) {
      if (entry.upload == upload) return entry.contents;
    }
  }
  GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> pages, context_.catalogue.UploadPages(principal, upload));
  GWQ_ASSIGN_OR_RETURN(UploadContents assembled, AssembleUpload(pages));
  auto contents = std::make_shared<const UploadContents>(std::move(assembled));
  MutexLock lock(mutex_);
  recent_.push_back({upload, contents});
  if (recent_.size() > kRecent) recent_.pop_front();
  return contents;
}

void UploadSessions::Forget(const std::string& upload) {
  MutexLock lock(mutex_);
  std::erase_if(recent_, [&](const Entry& entry) { return entry.upload == upload; });
}

std::string UploadSessions::PartialKey(const std::string& upload, const Digest& blob) {
  return fmt::format("{}/{}", upload, blob.Hex());
}

absl::StatusOr<std::vector<UploadSessions::Missing>> UploadSessions::ListMissing(const std::string& upload,
                                                                                 const UploadContents& contents) {
  std::vector<Missing> missing;
  for (const auto& [digest, size] : contents.blobs) {
    const auto info = context_.blobs.Stat(digest);
    if (info.ok()) continue;
    if (info.status().code() != absl::StatusCode::kNotFound) return info.status();
    missing.push_back({digest, size, context_.blobs.PartialSize(PartialKey(upload, digest))});
  }
  return missing;
}

}  // namespace gwq
