#include "server/jobs/manifest_cache.h"

#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {

absl::StatusOr<std::shared_ptr<const DigestSet>> ManifestCache::BlobsOf(BlobStore& store, const Digest& manifest) {
  {
    MutexLock lock(mutex_);
    for (const auto& [digest, blobs] : kept_) {
      if (digest == manifest) return blobs;
    }
  }
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest parsed, ParseManifest(json));
  const std::vector<Digest> blobs = parsed.Blobs();
  auto set = std::make_shared<DigestSet>(blobs.begin(), blobs.end());
  set->insert(manifest);
  MutexLock lock(mutex_);
  kept_.emplace_back(manifest, set);
  if (kept_.size() > kKept) kept_.pop_front();
  return set;
}

}  // namespace gwq
