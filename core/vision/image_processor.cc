#include "core/vision/image_processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/vision/processors.h"

namespace gwq {
namespace {

constexpr JsonLimits kJsonLimits = {.max_bytes = 1 << 20, .max_values = 100'000};
constexpr std::string_view kPreprocessorConfig = "preprocessor_config.json";
constexpr std::string_view kProcessorConfig = "processor_config.json";

struct FamilyEntry {
  std::string_view model_type;  // of config.json
  VisionFamily family;
  std::array<std::string_view, 3> processors;  // image_processor_type
};

constexpr FamilyEntry kFamilies[] = {
    {"qwen2_vl", VisionFamily::kQwen2Vl, {"Qwen2VLImageProcessor"}},
    {"qwen2_5_vl", VisionFamily::kQwen25Vl, {"Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor"}},
    {"idefics3", VisionFamily::kIdefics3, {"Idefics3ImageProcessor", "SmolVLMImageProcessor"}},
    {"smolvlm", VisionFamily::kIdefics3, {"SmolVLMImageProcessor", "Idefics3ImageProcessor"}},
    {"llava", VisionFamily::kLlava, {"CLIPImageProcessor", "LlavaImageProcessor", "CLIPFeatureExtractor"}},
};

absl::StatusOr<nlohmann::json> ParseObject(std::string_view name, std::string_view text) {
  if (text.empty()) return nlohmann::json::object();
  GWQ_ASSIGN_OR_RETURN(nlohmann::json value, ParseJson(name, text, kJsonLimits));
  if (!value.is_object()) return InvalidField(name, "must be a JSON object");
  return value;
}

absl::StatusOr<const FamilyEntry*> FindFamily(const SettingsReader& config, const absl::Status& status) {
  const std::string type = config.StringOr("model_type", "");
  GWQ_RETURN_IF_ERROR(status);
  const auto* found = std::ranges::find(kFamilies, type, &FamilyEntry::model_type);
  if (found != std::end(kFamilies)) return found;
  return absl::UnimplementedError(fmt::format(
      "config.json: models of type '{}' take no images here; qwen2_vl, qwen2_5_vl, idefics3, smolvlm and llava do",
      type));
}

// The class's name, however it is implemented: transformers 4 appends Fast for one of its two implementations.
std::string ProcessorType(const SettingsReader& settings) {
  std::string type = settings.StringOr("image_processor_type", settings.StringOr("feature_extractor_type", ""));
  if (type.ends_with("Fast")) type.resize(type.size() - 4);
  return type;
}

void CheckType(const FamilyEntry& family, const ProcessorInputs& inputs) {
  if (inputs.type.empty() || std::ranges::find(family.processors, inputs.type) != family.processors.end()) return;
  std::string known;
  for (const std::string_view name : family.processors) {
    if (!name.empty()) known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
  }
  inputs.image_processor.Invalid("image_processor_type",
                                 fmt::format("'{}' is unknown for models of type {}, whose images are prepared by {}",
                                             inputs.type, family.model_type, known));
}

std::unique_ptr<const ImageProcessor> Make(VisionFamily family, const ProcessorInputs& inputs) {
  switch (family) {
    case VisionFamily::kQwen2Vl:
    case VisionFamily::kQwen25Vl:
      return MakeQwenProcessor(family, inputs);
    case VisionFamily::kIdefics3:
      return MakeIdefics3Processor(inputs);
    case VisionFamily::kLlava:
      return MakeLlavaProcessor(inputs);
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ImageProcessor>> ImageProcessor::Parse(const ProcessorFiles& files,
                                                                            const ProcessorLimits& limits) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json config, ParseObject("config.json", files.config));
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json preprocessor, ParseObject(kPreprocessorConfig, files.preprocessor_config));
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json processor, ParseObject(kProcessorConfig, files.processor_config));
  absl::Status status;
  const SettingsReader config_reader(&config, "config.json", status);
  GWQ_ASSIGN_OR_RETURN(const FamilyEntry* family, FindFamily(config_reader, status));

  const SettingsReader processor_reader(&processor, std::string(kProcessorConfig), status);
  if (files.preprocessor_config.empty() && !processor_reader.Has("image_processor")) {
    return InvalidField(kPreprocessorConfig,
                        fmt::format("the model has no such file, and no {} with the field image_processor: how its "
                                    "images are prepared is not known; upload the file with the model",
                                    kProcessorConfig));
  }
  ProcessorInputs inputs{
      .image_processor = files.preprocessor_config.empty()
                             ? processor_reader.Object("image_processor")
                             : SettingsReader(&preprocessor, std::string(kPreprocessorConfig), status),
      .processor = processor_reader,
      .config = config_reader,
      .vision = config_reader.Object("vision_config"),
      .limits = limits,
      .type = ""};
  inputs.type = ProcessorType(inputs.image_processor);
  CheckType(*family, inputs);
  std::unique_ptr<const ImageProcessor> made = Make(family->family, inputs);
  GWQ_RETURN_IF_ERROR(status);
  return made;
}

GroundingFormat ImageProcessor::grounding() const {
  switch (family_) {
    case VisionFamily::kQwen2Vl:
      return GroundingFormat::kQwen2Vl;
    case VisionFamily::kQwen25Vl:
      return GroundingFormat::kQwen25Vl;
    case VisionFamily::kLlava:
      return GroundingFormat::kLlava;
    case VisionFamily::kIdefics3:
      return GroundingFormat::kNone;
  }
  return GroundingFormat::kNone;
}

absl::Status CheckPatchBytes(int64_t rows, int64_t floats, const ProcessorLimits& limits) {
  const int64_t limit = limits.max_patch_bytes / static_cast<int64_t>(sizeof(float)) / floats;
  if (rows <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("the image becomes {} patches; the limit is {}: send a smaller one", rows, limit));
}

absl::Status CheckPixels(const Image& image) {
  if (image.width >= 1 && image.height >= 1 && image.rgb.size() == size_t{3} * image.width * image.height) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("an image of {} x {} pixels with {} bytes", image.width, image.height, image.rgb.size()));
}

std::string Repeat(std::string_view text, int64_t times) {
  std::string repeated;
  repeated.reserve(text.size() * times);
  for (int64_t i = 0; i < times; ++i) repeated += text;
  return repeated;
}

}  // namespace gwq
