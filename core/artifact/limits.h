// What bounds the memory and the log lines that a manifest and its small files can cost.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/manifest.h"
#include "core/base/progress.h"
#include "core/storage/blob_store.h"

namespace gwq {

inline constexpr uint64_t kMaxManifestBytes = 100'000'000;
inline constexpr uint64_t kMaxSmallFileBytes = uint64_t{64} << 20;

// The role of a tensor that a file holds and the family does not use.
inline constexpr char kExtraKind[] = "extra";

// The JSON and template files of the top folder, shard indices left out: what ModelText::Load takes.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> ReadTextFiles(BlobStore& store,
                                                                               const Manifest& manifest);

// One line for each of the first names and one that counts the rest: a file may hold thousands of unused tensors.
void LogUnusedTensors(const std::vector<std::string>& names, std::string_view architecture,
                      std::string_view what_happens, Progress& progress);

}  // namespace gwq
