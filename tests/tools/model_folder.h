// Writes the files of a stored model into a folder, for tools.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

[[nodiscard]] absl::Status WriteModelFolder(BlobStore& store, const Manifest& manifest,
                                            const std::filesystem::path& folder);

}  // namespace gwq
