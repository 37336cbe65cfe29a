// What bounds the memory that a manifest and its small files can cost, and the one way to read those files.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

inline constexpr uint64_t kMaxManifestBytes = 100'000'000;
inline constexpr uint64_t kMaxSmallFileBytes = uint64_t{64} << 20;

// The role of a tensor that a file holds and the family does not use.
inline constexpr char kExtraKind[] = "extra";

// The JSON and template files of the top folder, shard indices left out: what ModelText::Load takes.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> ReadTextFiles(BlobStore& store,
                                                                               const Manifest& manifest);

}  // namespace gwq
