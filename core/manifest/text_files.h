// The small text files of a model.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

// The JSON and template files of the top folder, shard indices left out: what ModelText::Load takes.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> ReadTextFiles(BlobStore& store,
                                                                               const Manifest& manifest);

}  // namespace gwq
