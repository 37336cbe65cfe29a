#include "core/jobs/job_run.h"

#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {

absl::StatusOr<JobOutput> OutputOf(BlobStore& store, const Digest& manifest) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest made, ParseManifest(json));
  JobOutput out;
  out.kind = made.kind;
  out.manifest = manifest;
  out.stored_bytes = made.StoredBytes();
  out.architecture = made.architecture;
  out.source = made.source;
  return out;
}

}  // namespace gwq
