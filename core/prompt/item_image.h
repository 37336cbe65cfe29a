// An image of a dataset's line as a model's processor prepares it.
#pragma once

#include <functional>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/artifact/stored_dataset.h"
#include "core/vision/image_processor.h"

namespace gwq {

// Reads, decodes and prepares the image that `item` names by `path`; `check` as ReadImage asks it. An error is
// INVALID_ARGUMENT at "line N.image" for a file that is missing or no image that the processor takes.
[[nodiscard]] absl::StatusOr<PreparedImage> ReadItemImage(const StoredDataset& dataset, const DatasetItem& item,
                                                          std::string_view path, const ImageProcessor& processor,
                                                          const std::function<absl::Status()>& check = nullptr);

}  // namespace gwq
