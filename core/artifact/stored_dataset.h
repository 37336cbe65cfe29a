// A dataset in the blob store: one .jsonl file with questions, or texts for a calibration, and the images they name,
// one .txt file, or images alone (for a calibration).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/manifest/manifest.h"
#include "core/spec/dataset.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Turns what a client uploaded into a dataset: `upload` is the manifest as declared, of kind "dataset", with its blobs
// in the store. Checks that there is one .jsonl or .txt file in the top folder, or nothing but images; that every line
// is fit for its use (CheckComplete), and a box inside its image; and that every image that a line names, or that
// stands alone, was uploaded and decodes. Returns the digest of the stored manifest. INVALID_ARGUMENT at "files[...]"
// or "line N.key"; the errors of `progress`. Phase "import", in items or images. Memory: the items and one image.
[[nodiscard]] absl::StatusOr<Digest> ImportDataset(BlobStore& store, const Manifest& upload, Progress& progress);

// The .jsonl file in the top folder; null if there is none or several.
[[nodiscard]] const ManifestFile* LinesFile(const Manifest& dataset);
// Whether any of its files is an image.
[[nodiscard]] bool HoldsImages(const Manifest& dataset);

// Immutable. The store must outlive it.
class StoredDataset {
 public:
  // FAILED_PRECONDITION for a manifest of another kind; INVALID_ARGUMENT as ImportDataset.
  [[nodiscard]] static absl::StatusOr<StoredDataset> Open(BlobStore& store, const Digest& manifest);

  // The first `limit` items (0: all), each of them fit for `kind`. INVALID_ARGUMENT at "line N.key".
  [[nodiscard]] absl::StatusOr<std::vector<DatasetItem>> Items(EvaluationKind kind, int64_t limit) const;
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  // The .jsonl file as it is, for SplitDataset; INVALID_ARGUMENT if there is none or it is no UTF-8.
  [[nodiscard]] absl::StatusOr<std::string> Lines() const;
  // The .txt file; INVALID_ARGUMENT if there is none or it is no UTF-8.
  [[nodiscard]] absl::StatusOr<std::string> Text() const;
  // The bytes of an image; INVALID_ARGUMENT at "line N.image" if the dataset has no such file.
  [[nodiscard]] absl::StatusOr<std::string> Image(const DatasetItem& item, std::string_view path) const;

 private:
  StoredDataset(BlobStore& store, Manifest manifest) : store_(&store), manifest_(std::move(manifest)) {}

  BlobStore* store_;
  Manifest manifest_;
};

}  // namespace gwq
