// An upload's declared files: pages as they come, and the manifest they make together.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/jobs/catalogue.h"
#include "core/manifest/manifest.h"
#include "gwq/v1/models.pb.h"

namespace gwq {

// Everything about a page that can be told without the others: paths, file types, digests, sizes, order and bounds of
// cuts. INVALID_ARGUMENT names "files[2].cuts[1].offset".
// `kind` is "model" or "dataset".
[[nodiscard]] absl::Status CheckPage(const v1::AddUploadFilesRequest& page, std::string_view kind,
                                     uint64_t upload_bytes);
// What is stored of a page.
[[nodiscard]] std::string PageJson(const v1::AddUploadFilesRequest& page);
// Whether what PageJson made says that no page follows.
[[nodiscard]] bool IsLastPage(std::string_view page_json);
// The error of page `page` behind such a page.
[[nodiscard]] absl::Status AfterLastPage(size_t page);

// The files of all pages together.
struct UploadManifest {
  Manifest manifest;
  std::map<Digest, uint64_t> blobs;  // distinct, with their sizes
  uint64_t total_bytes = 0;          // of all files
  bool complete = false;             // the last page is there
};
// `pages` as PageJson made them, in order. If the last one is among them the whole is checked (overlaps and gaps
// between pages, repeated paths and tensors); fields count files in the order in which they were first named. DATA_LOSS
// for what PageJson cannot have made.
[[nodiscard]] absl::StatusOr<UploadManifest> AssembleUpload(std::string_view kind,
                                                            const std::vector<std::string>& pages);

// Keeps the complete manifests of the last few uploads that were asked for: each blob that comes asks for its upload's,
// and to make one anew is to read megabytes of pages. Thread-safe.
class UploadManifests {
 public:
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const UploadManifest>> Of(Catalogue& catalogue,
                                                                         const std::string& principal,
                                                                         const std::string& id);
  void Forget(const std::string& id);

 private:
  // Null if it is not kept.
  std::shared_ptr<const UploadManifest> Kept(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  static constexpr size_t kKept = 8;
  Mutex mutex_;
  // By id, the least recently used first.
  std::vector<std::pair<std::string, std::shared_ptr<const UploadManifest>>> kept_ ABSL_GUARDED_BY(mutex_);
};

// Partial bytes of a blob of an upload.
[[nodiscard]] std::string PartialKey(const std::string& upload, const Digest& blob);

}  // namespace gwq
