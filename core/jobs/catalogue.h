// Models, artifacts and open uploads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/jobs/records.h"
#include "core/manifest/manifest.h"

namespace gwq {

struct Upload {
  std::string id;
  std::string principal;
  std::string name;  // of the model it will become, or "datasets/{id}"
  std::string request_id;
  uint64_t total_bytes = 0;  // declared, checked against the limit
  int64_t created_wall_millis = 0;
  int64_t expires_wall_millis = 0;
  std::string commit_job;  // set once committed
};

// What garbage collection spares, at one moment and over all principals.
struct CollectionRoots {
  std::vector<Digest> manifests;    // of entries, live holds and live jobs; with every blob that they name
  std::vector<Digest> checkpoints;  // of live jobs and kept passes; with every blob that they name
  std::vector<Digest> blobs;        // that live jobs name, and the texts of all jobs
  // When the oldest running attempt began: its worker has stored blobs since that nothing names yet. None: no job runs.
  std::optional<int64_t> running_since_wall_millis;
};

// What the upload is to become: a model, or a dataset where its name is "datasets/{id}".
[[nodiscard]] JobProduct UploadProduct(const Upload& upload);

// Thread-safe, durable on OK, blocking. Everything is scoped to a principal: another principal's resources are
// NOT_FOUND.
class Catalogue {
 public:
  virtual ~Catalogue() = default;

  // Models and artifacts come into being only by JobStore::Commit.
  [[nodiscard]] virtual absl::StatusOr<CatalogueEntry> Find(const std::string& principal, const std::string& kind,
                                                            const std::string& name) = 0;
  struct EntryPage {
    std::vector<CatalogueEntry> entries;  // by name; reports left out
    std::string next_page_token;
  };
  [[nodiscard]] virtual absl::StatusOr<EntryPage> ListEntries(const std::string& principal, const std::string& kind,
                                                              int page_size, const std::string& page_token) = 0;
  // FAILED_PRECONDITION while a live job or a hold needs it, naming which.
  [[nodiscard]] virtual absl::Status Delete(const std::string& principal, const std::string& kind,
                                            const std::string& name) = 0;

  // Uploads. A page of files adds to the upload; the same page again changes nothing; a page that differs is
  // ALREADY_EXISTS.
  [[nodiscard]] virtual absl::StatusOr<Upload> CreateUpload(Upload upload) = 0;
  [[nodiscard]] virtual absl::StatusOr<Upload> GetUpload(const std::string& principal, const std::string& id) = 0;
  [[nodiscard]] virtual absl::Status AddUploadPage(const std::string& principal, const std::string& id, int page_index,
                                                   const std::string& page_json) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::string>> UploadPages(const std::string& principal,
                                                                             const std::string& id) = 0;
  [[nodiscard]] virtual absl::Status SetUploadCommitted(const std::string& principal, const std::string& id,
                                                        const std::string& job) = 0;
  [[nodiscard]] virtual absl::Status DeleteUpload(const std::string& principal, const std::string& id) = 0;
  // Removes those past their time and tells which.
  [[nodiscard]] virtual absl::StatusOr<std::vector<Upload>> ExpireUploads() = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<Upload>> OpenUploads() = 0;

  // A server that has loaded a manifest holds it: renewed before `ttl_millis` passes, it cannot be deleted meanwhile.
  [[nodiscard]] virtual absl::Status Hold(const std::string& principal, const Digest& manifest,
                                          const std::string& holder, int64_t ttl_millis) = 0;
  // Find, then Hold, with nothing in between: what is given back is not deleted, and its blobs are not collected, until
  // the hold ends.
  [[nodiscard]] virtual absl::StatusOr<CatalogueEntry> FindAndHold(const std::string& principal,
                                                                   const std::string& kind, const std::string& name,
                                                                   const std::string& holder, int64_t ttl_millis) = 0;
  [[nodiscard]] virtual absl::Status ReleaseHold(const std::string& principal, const Digest& manifest,
                                                 const std::string& holder) = 0;

  [[nodiscard]] virtual absl::StatusOr<CollectionRoots> Roots() = 0;
};

}  // namespace gwq
