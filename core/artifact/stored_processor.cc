#include "core/artifact/stored_processor.h"

#include <fmt/format.h>

#include <string_view>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr char kSettings[] = "preprocessor_config.json";
// Of an image that every family takes.
constexpr int kUsualSide = 224;

}  // namespace

absl::StatusOr<std::unique_ptr<const ImageProcessor>> ReadImageProcessor(
    const std::map<std::string, std::string>& files, const VisionConfig& vision) {
  const auto file = [&](const char* name) {
    const auto found = files.find(name);
    return found == files.end() ? std::string_view() : std::string_view(found->second);
  };
  GWQ_ASSIGN_OR_RETURN(auto processor, ImageProcessor::Parse({.config = file("config.json"),
                                                              .preprocessor_config = file(kSettings),
                                                              .processor_config = file("processor_config.json")}));
  const absl::StatusOr<PreparedImage> usual = processor->Plan(kUsualSide, kUsualSide);
  if (!usual.ok()) {
    return InvalidField(kSettings, fmt::format("refuses an image of {} x {} pixels: {}", kUsualSide, kUsualSide,
                                               MessageOf(usual.status())));
  }
  if (usual->patch_size_floats == vision.patch_floats) return processor;
  return InvalidField(kSettings, fmt::format("makes patches of {} values, the tower of config.json takes {}; upload "
                                             "the file that belongs to the model",
                                             usual->patch_size_floats, vision.patch_floats));
}

absl::StatusOr<std::unique_ptr<const ImageProcessor>> ProcessorOf(const StoredModel& model) {
  GWQ_ASSIGN_OR_RETURN(const auto files, model.TextFiles());
  const std::optional<VisionConfig>& vision = model.model()->config().vision;
  if (!vision.has_value()) return absl::FailedPreconditionError("the model sees no images");
  return ReadImageProcessor(files, *vision);
}

}  // namespace gwq
