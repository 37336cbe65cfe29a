// A dataset in a blob store, as its import leaves it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/artifact/stored_dataset.h"
#include "core/base/progress.h"

namespace gwq::testing {

// `files`: path and bytes. The errors of ImportDataset.
inline absl::StatusOr<Digest> MakeDataset(BlobStore& store,
                                          const std::vector<std::pair<std::string, std::string>>& files) {
  Manifest upload;
  upload.kind = "dataset";
  for (const auto& [path, bytes] : files) {
    const auto digest = PutBlob(store, std::as_bytes(std::span(bytes)));
    EXPECT_TRUE(digest.ok()) << digest.status();
    upload.files.push_back({path, bytes.size(), digest.value_or(Digest{})});
  }
  std::ranges::sort(upload.files, {}, &ManifestFile::path);
  return ImportDataset(store, upload, NoProgress());
}

}  // namespace gwq::testing
