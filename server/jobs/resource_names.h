// "models/smollm2" and its like.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gwq {

// The id behind "collection/"; INVALID_ARGUMENT at `field` for anything else, a malformed id included.
[[nodiscard]] absl::StatusOr<std::string> IdOf(std::string_view field, std::string_view collection,
                                               std::string_view name);
// The kind and the id of a name in any collection of the catalogue.
struct EntryName {
  std::string kind;  // "model", "artifact", "dataset" or "evaluation"
  std::string id;
};
[[nodiscard]] absl::StatusOr<EntryName> ParseEntryName(std::string_view field, std::string_view name);
// The same for what has tensors: "models/..." and "artifacts/...".
[[nodiscard]] absl::StatusOr<EntryName> ParseModelName(std::string_view field, std::string_view name);
[[nodiscard]] std::string NameOf(std::string_view kind, std::string_view id);  // "models/{id}", "jobs/{id}"

// The id by which a caller repeats a request: at most 256 bytes, else INVALID_ARGUMENT at "request_id".
[[nodiscard]] absl::Status CheckRequestId(std::string_view id);

// 0 becomes `standard`; INVALID_ARGUMENT outside 1..limit.
[[nodiscard]] absl::StatusOr<int> PageSize(int asked, int standard, int limit);

}  // namespace gwq
