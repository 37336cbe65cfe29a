// A Hugging Face directory whose tensors are not those of the model's family. Private to core/export.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/artifact/stored_model.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Collects tensors and files; Finish stores the manifest, which has no architecture. Nothing is visible before. Not
// thread-safe. Store and source outlive it.
class ForeignModel {
 public:
  ForeignModel(BlobStore& store, const StoredModel& source) : store_(store), source_(source) {}

  // Of a blob that is in the store and has the shape's bytes.
  [[nodiscard]] absl::Status AddBlob(const std::string& name, DType dtype, const Shape& shape, const Digest& digest);
  [[nodiscard]] absl::Status Add(const std::string& name, DType dtype, const Shape& shape,
                                 std::span<const std::byte> bytes);
  [[nodiscard]] absl::Status SetFile(std::string_view path, std::string_view content);

  // One model.safetensors, the files that were set, and all small files of the source apart from a shard index.
  [[nodiscard]] absl::StatusOr<Digest> FinishSafetensors();
  // `shard`, the files that were set, and licences and readmes of the source.
  [[nodiscard]] absl::StatusOr<Digest> FinishFile(ManifestShard shard);

 private:
  [[nodiscard]] absl::StatusOr<Digest> Finish(ManifestShard shard);

  BlobStore& store_;
  const StoredModel& source_;
  std::map<std::string, ManifestFile, std::less<>> files_;
  std::vector<ManifestTensor> tensors_;
};

}  // namespace gwq
