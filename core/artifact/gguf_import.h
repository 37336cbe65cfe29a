// A GGUF file's blobs made into a Hugging Face layout.
#pragma once

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

// `upload` passes CheckManifest and holds exactly one shard, a .gguf file. The manifest that ImportModel describes, not
// stored yet and its text files not tried; errors as there.
[[nodiscard]] absl::StatusOr<Manifest> ConvertGguf(BlobStore& store, const Manifest& upload, Progress& progress);

}  // namespace gwq
