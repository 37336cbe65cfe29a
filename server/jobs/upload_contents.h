// What an upload was declared to hold: the pages of its manifest, checked and put together.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/manifest.h"
#include "gwq/v1/models.pb.h"

namespace gwq {

struct UploadContents {
  Manifest manifest;                 // kind "model", not imported
  std::map<Digest, uint64_t> blobs;  // digest -> size, each once
};

// Checks what a page can be checked for by itself (paths, file types, digests, sizes, order of cuts; fields are
// "files[2].cuts[1].offset") and gives the canonical text that the catalogue stores.
[[nodiscard]] absl::StatusOr<std::string> UploadPageJson(const v1::AddUploadFilesRequest& page);

// The pages in order. FAILED_PRECONDITION where the last one is missing; INVALID_ARGUMENT naming the manifest's field
// for what only the whole shows: gaps, overlaps, double names, sizes.
[[nodiscard]] absl::StatusOr<UploadContents> AssembleUpload(const std::vector<std::string>& pages);

}  // namespace gwq
