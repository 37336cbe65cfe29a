// Long texts of a job's spec (of a calibration, of an evaluation) as a blob, so that the store's rows stay small. The
// blob is canonical JSON, {"/recipe/calibration/text":"...",...}: each text by the JSON pointer of its place. The spec
// keeps the beginning of each, followed by "…": enough for a list of jobs. JoinTexts gives back the whole spec, which
// is what a job runs with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Longer texts are cut to at most this, at the end of a character.
inline constexpr size_t kMaxSpecTextBytes = 1024;

struct SplitSpec {
  std::string spec_json;
  std::optional<Digest> texts;  // none: no text is long, and the spec is as it was
};
// Stores the long texts of `spec_json`, a JSON object; durable on OK.
[[nodiscard]] absl::StatusOr<SplitSpec> SplitTexts(BlobStore& store, std::string_view spec_json);
// The spec as it was given to SplitTexts. DATA_LOSS if the blob is missing or does not fit the spec.
[[nodiscard]] absl::StatusOr<std::string> JoinTexts(BlobStore& store, std::string_view spec_json,
                                                    const std::optional<Digest>& texts);

}  // namespace gwq
