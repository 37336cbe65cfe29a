// A safetensors file's header against the cuts that a manifest declares.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/io/safetensors.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

// What the header blob says of each tensor, in the order of `shard.tensors`. INVALID_ARGUMENT, with fields inside the
// shard ("header", "tensors[3].offset", ...), if the header is malformed or describes other tensors, places or sizes
// than declared.
[[nodiscard]] absl::StatusOr<std::vector<SafetensorsTensor>> ReadShardHeader(BlobStore& store,
                                                                             const ManifestShard& shard);

}  // namespace gwq
