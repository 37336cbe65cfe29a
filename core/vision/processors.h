// The processors of the families, behind ImageProcessor::Parse.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/vision/image_processor.h"
#include "core/vision/settings_reader.h"

namespace gwq {

// What each of them is made from. Readers share one status, which Parse looks at after the processor is made.
struct ProcessorInputs {
  SettingsReader image_processor;  // of preprocessor_config.json, or the field image_processor of processor_config.json
  SettingsReader processor;        // processor_config.json
  SettingsReader config;           // config.json
  SettingsReader vision;           // its vision_config
  ProcessorLimits limits;
  std::string type;  // image_processor_type without "Fast"; empty if the file names none
};

[[nodiscard]] std::unique_ptr<const ImageProcessor> MakeQwenProcessor(VisionFamily family,
                                                                      const ProcessorInputs& inputs);
[[nodiscard]] std::unique_ptr<const ImageProcessor> MakeIdefics3Processor(const ProcessorInputs& inputs);
[[nodiscard]] std::unique_ptr<const ImageProcessor> MakeLlavaProcessor(const ProcessorInputs& inputs);

// INVALID_ARGUMENT if `rows` patches of `floats` each pass the limit.
[[nodiscard]] absl::Status CheckPatchBytes(int64_t rows, int64_t floats, const ProcessorLimits& limits);
// INVALID_ARGUMENT if `image` has no pixels or another number of bytes than its sides say.
[[nodiscard]] absl::Status CheckPixels(const Image& image);
[[nodiscard]] std::string Repeat(std::string_view text, int64_t times);

}  // namespace gwq
