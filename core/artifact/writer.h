// Puts a new model or artifact together from a stored one, tensor by tensor.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/manifest/manifest.h"
#include "core/models/model.h"
#include "core/storage/blob_store.h"
#include "core/storage/commit_group.h"

namespace gwq {

inline constexpr std::string_view kSingleShardPath = "model.safetensors";

// Sorts the tensors by name, lays them out as one safetensors file and stores its header. The tensors' blobs are in the
// store already; offsets are set here.
[[nodiscard]] absl::StatusOr<ManifestShard> MakeSingleShard(BlobStore& store, std::vector<ManifestTensor> tensors);

// The result holds every tensor of the source's family once, in one file model.safetensors, and the source's small
// files without a shard index. The same tensors and files give the same digest, in whatever order they were added. Not
// thread-safe; nothing is visible before a Finish.
class ArtifactWriter {
 public:
  // Both must outlive the writer.
  ArtifactWriter(BlobStore& store, const StoredModel& source);

  // Each stores or names one tensor; INVALID_ARGUMENT if it was added before, is unknown to the family or has
  // another shape.
  //   as the source holds it, without copying
  [[nodiscard]] absl::Status Keep(std::string_view tensor);
  //   from memory, committed in the background; a Finish returns an error if that failed
  [[nodiscard]] absl::Status AddDense(std::string_view tensor, DType dtype, std::span<const std::byte> bytes);
  //   of a blob that is in the store (a large tensor, written through BlobStore::BeginUnnamed)
  [[nodiscard]] absl::Status AddDenseBlob(std::string_view tensor, DType dtype, const Digest& digest);
  //   packed bytes as EncodePacked gives them
  [[nodiscard]] absl::Status AddPacked(std::string_view tensor, std::span<const std::byte> packed);
  //   packed bytes of a blob that is in the store; the errors of PackedView::Open
  [[nodiscard]] absl::Status AddPackedBlob(std::string_view tensor, const Digest& digest);

  // Takes a tensor out again, so that another may be added in its place. After a Sync.
  void Remove(std::string_view tensor);

  // Waits until what was added is durable; the first error of the commits.
  [[nodiscard]] absl::Status Sync() { return commits_.Finish(); }
  // The blob of a tensor that was added, known once Sync or a Finish returned OK. Null if it was not added.
  [[nodiscard]] const Digest* BlobOf(std::string_view tensor) const;

  [[nodiscard]] BlobStore& store() const { return store_; }

  // Replaces or adds a small file.
  [[nodiscard]] absl::Status SetFile(std::string_view path, std::string_view content);

  // Stores the manifest of an artifact made from the source; both texts are canonical JSON objects.
  // FAILED_PRECONDITION naming a tensor that was not added.
  [[nodiscard]] absl::StatusOr<Digest> FinishArtifact(std::string recipe_json, std::string producer_json);
  // Stores the manifest of a model; every tensor must be dense.
  [[nodiscard]] absl::StatusOr<Digest> FinishModel();

 private:
  // Null if the family has no such tensor.
  [[nodiscard]] const TensorSpec* SpecOf(std::string_view tensor) const;
  [[nodiscard]] absl::StatusOr<ManifestTensor*> Add(ManifestTensor tensor, const Shape& matrix);
  [[nodiscard]] absl::Status Add(ManifestTensor tensor, const Shape& matrix, std::span<const std::byte> bytes);
  [[nodiscard]] absl::StatusOr<Digest> Finish(Manifest manifest);

  BlobStore& store_;
  const StoredModel& source_;
  std::unordered_map<std::string_view, const TensorSpec*> specs_;  // of the source's family, by name
  std::map<std::string, ManifestTensor, std::less<>> tensors_;
  std::map<std::string, ManifestFile, std::less<>> replaced_files_;
  CommitGroup commits_;  // last: it writes digests into tensors_
};

}  // namespace gwq
