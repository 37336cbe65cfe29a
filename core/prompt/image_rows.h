// From an image file to the rows that stand for it in a prompt.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/models/model.h"
#include "core/vision/image.h"
#include "core/vision/image_processor.h"

namespace gwq {

// Tiles as the tower takes them.
[[nodiscard]] std::vector<PatchGrid> GridsOf(const PreparedImage& image);

// Decodes and prepares an image; `check` (null: none) is asked between the two. The errors of DecodeImage and
// ImageProcessor::Prepare, which name no field, and of `check`.
[[nodiscard]] absl::StatusOr<PreparedImage> ReadImage(const ImageProcessor& processor, std::span<const std::byte> file,
                                                      const ImageLimits& limits = {},
                                                      const std::function<absl::Status()>& check = nullptr);

// The rows [image tokens of all, hidden] that the model's tower makes of `images`, one after the other; their patches
// are dropped on the way. The errors of LoadedModel::EncodeImage.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const std::vector<float>>> EncodeImages(const LoadedModel& model,
                                                                                     Backend& backend,
                                                                                     std::span<PreparedImage> images);

}  // namespace gwq
