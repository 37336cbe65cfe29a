#include "core/manifest/manifest.h"

#include <set>

#include "core/io/json.h"
#include "core/manifest/manifest_json.h"

namespace gwq {

TensorIndex::TensorIndex(const Manifest& manifest) {
  for (const ManifestShard& shard : manifest.shards) {
    for (const ManifestTensor& tensor : shard.tensors) tensors_.emplace(tensor.name, &tensor);
  }
}

const ManifestTensor* TensorIndex::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

const ManifestFile* Manifest::FindFile(std::string_view path) const {
  for (const ManifestFile& file : files) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

std::vector<Digest> Manifest::Blobs() const {
  std::set<Digest> blobs;
  for (const ManifestFile& file : files) blobs.insert(file.digest);
  for (const ManifestShard& shard : shards) {
    blobs.insert(shard.header);
    for (const ManifestTensor& tensor : shard.tensors) blobs.insert(tensor.digest);
  }
  return {blobs.begin(), blobs.end()};
}

uint64_t Manifest::StoredBytes() const {
  std::set<Digest> seen;
  uint64_t bytes = 0;
  const auto add = [&](const Digest& digest, uint64_t size) {
    if (seen.insert(digest).second) bytes += size;
  };
  for (const ManifestFile& file : files) add(file.digest, file.size);
  for (const ManifestShard& shard : shards) {
    add(shard.header, shard.header_size);
    for (const ManifestTensor& tensor : shard.tensors) add(tensor.digest, tensor.size);
  }
  return bytes;
}

std::string ManifestJson(const Manifest& manifest) { return CanonicalJson(ManifestTree(manifest)); }

Digest ManifestDigest(const Manifest& manifest) { return Sha256Of(ManifestJson(manifest)); }

absl::StatusOr<Manifest> ParseManifest(std::string_view json) {
  auto manifest = ReadManifestTree(json);
  if (!manifest.ok()) return manifest;
  if (absl::Status status = CheckManifest(*manifest); !status.ok()) return status;
  return manifest;
}

}  // namespace gwq
