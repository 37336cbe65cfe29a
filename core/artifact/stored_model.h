// A model or artifact opened from its manifest: its files, its family, and its tensors mapped on demand.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/manifest/manifest.h"
#include "core/models/model.h"
#include "core/storage/blob_store.h"

namespace gwq {

// A tensor as it is stored. The view lives as long as `blob`.
struct DenseTensor {
  std::shared_ptr<const PinnedBlob> blob;
  TensorView view;
};
struct PackedTensor {
  std::shared_ptr<const PinnedBlob> blob;
  PackedView view;
};

// Immutable and thread-safe. The store must outlive it.
class StoredModel {
 public:
  // `manifest` is the digest of an imported model's or an artifact's manifest blob. NOT_FOUND if it is not in the
  // store, DATA_LOSS if its bytes do not match, INVALID_ARGUMENT if manifest or config.json is wrong,
  // FAILED_PRECONDITION if it has not been imported.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const StoredModel>> Open(BlobStore& store,
                                                                               const Digest& manifest);

  [[nodiscard]] const Digest& digest() const { return digest_; }
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  [[nodiscard]] const std::shared_ptr<const Model>& model() const { return model_; }

  // A small file's bytes; NOT_FOUND.
  [[nodiscard]] absl::StatusOr<std::string> ReadFile(std::string_view path) const;
  // The JSON and template files of the top folder: the input of ModelText::Load.
  [[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> TextFiles() const;

  // Null if there is none. The pointer lives as long as this object.
  [[nodiscard]] const ManifestTensor* Find(std::string_view tensor) const;
  // NOT_FOUND; FAILED_PRECONDITION if the tensor is stored the other way.
  [[nodiscard]] absl::StatusOr<DenseTensor> Dense(std::string_view tensor) const;
  [[nodiscard]] absl::StatusOr<PackedTensor> Packed(std::string_view tensor) const;

  // Reads everything: every blob's digest, every header against the manifest, every packed matrix's structure.
  // DATA_LOSS naming the file or tensor at fault. Phase "verify", in bytes. Memory: a few MiB and one mapped matrix.
  [[nodiscard]] absl::Status Verify(Progress& progress) const;

 private:
  StoredModel(BlobStore& store, const Digest& digest, Manifest manifest);
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const PinnedBlob>> Pin(const ManifestTensor& tensor) const;

  BlobStore& store_;
  const Digest digest_;
  const Manifest manifest_;
  std::shared_ptr<const Model> model_;
  std::unordered_map<std::string_view, const ManifestTensor*> tensors_;
};

// Loads into `backend` and drops the mapped pages afterwards, so that loading a model costs the backend's copy and one
// tensor. A tensor whose weight is still alive is not loaded again. Both arguments must outlive the loader.
[[nodiscard]] std::unique_ptr<WeightLoader> MakeWeightLoader(const StoredModel& source, Backend& backend);

}  // namespace gwq
