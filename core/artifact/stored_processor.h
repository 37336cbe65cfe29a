// The image processor that a vision-language model's files describe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/models/config.h"
#include "core/vision/image_processor.h"

namespace gwq {

// `files` as ReadTextFiles gives them, `vision` of their config.json. The errors of ImageProcessor::Parse, and
// INVALID_ARGUMENT at "preprocessor_config.json" for patches that the tower does not take or an image of usual size
// that the settings refuse.
[[nodiscard]] absl::StatusOr<std::unique_ptr<const ImageProcessor>> ReadImageProcessor(
    const std::map<std::string, std::string>& files, const VisionConfig& vision);

// The processor of a stored model; the errors of ReadImageProcessor, FAILED_PRECONDITION for a text model.
[[nodiscard]] absl::StatusOr<std::unique_ptr<const ImageProcessor>> ProcessorOf(const StoredModel& model);

}  // namespace gwq
