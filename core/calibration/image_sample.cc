#include "core/calibration/image_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/artifact/stored_processor.h"
#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/prompt/image_rows.h"
#include "core/prompt/prompt_builder.h"

namespace gwq {
namespace {

constexpr int kSide = 224;

using Pixel = std::array<uint8_t, 3>;

Pixel BuiltInPixel(int x, int y) {
  const auto shade = [](int value) { return static_cast<uint8_t>(value); };
  if ((x - 64) * (x - 64) + (y - 64) * (y - 64) < 40 * 40) return {210, 30, shade(40 + x / 4)};
  if (x >= 130 && x < 200 && y >= 24 && y < 94) return {20, shade(40 + y / 2), 200};
  if (y >= 124 && y < 204 && std::abs(x - 64) * 2 < y - 124) return {30, 160, 60};
  if (x >= 120 && y >= 124) return (x / 2 + y / 3) % 2 == 0 ? Pixel{20, 20, 20} : Pixel{235, 235, 220};
  return {shade(150 + x / 3), shade(170 + y / 4), shade(190 - (x + y) / 8)};
}

absl::StatusOr<PreparedImage> PrepareImage(const Calibration& calibration, const ImageProcessor& processor,
                                           BlobStore& store) {
  if (calibration.blob.empty()) return processor.Prepare(BuiltInImage());
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(calibration.blob));
  const auto bytes = ReadBlob(store, digest, kMaxSmallFileBytes);
  if (!bytes.ok()) return Annotate(bytes.status(), "recipe.calibration.blob");
  auto prepared = ReadImage(processor, std::as_bytes(std::span(*bytes)));
  if (absl::IsInvalidArgument(prepared.status())) {
    return InvalidField("recipe.calibration.blob", MessageOf(prepared.status()));
  }
  return prepared;
}

std::vector<ChatMessage> Conversation(const Calibration& calibration) {
  std::vector<ChatMessage> messages = {
      UserTurn(1, calibration.question.empty() ? std::string(BuiltInQuestion()) : calibration.question)};
  if (!calibration.answer.empty()) messages.push_back({"assistant", calibration.answer});
  return messages;
}

}  // namespace

Image BuiltInImage() {
  Image image;
  image.width = image.height = kSide;
  image.rgb.reserve(size_t{3} * kSide * kSide);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const Pixel pixel = BuiltInPixel(x, y);
      image.rgb.insert(image.rgb.end(), pixel.begin(), pixel.end());
    }
  }
  return image;
}

std::string_view BuiltInQuestion() { return "What shapes and colours are in this picture, and where?"; }

absl::StatusOr<CalibrationSample> MakeImageSample(const Calibration& calibration, const StoredModel& model,
                                                  const ModelText& text, BlobStore& store) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const ImageProcessor> processor, ProcessorOf(model));
  GWQ_ASSIGN_OR_RETURN(PreparedImage prepared, PrepareImage(calibration, *processor, store));
  RenderOptions options;
  options.add_generation_prompt = calibration.answer.empty();
  const PreparedImage* const images[] = {&prepared};
  const PromptBuilder builder(text, *model.model(), *processor);
  const int64_t limit = std::max(calibration.max_tokens, kImageSampleTokens);
  auto built = builder.Build(Conversation(calibration), images, options, {}, {.max_prompt_tokens = limit});
  if (absl::IsInvalidArgument(built.status())) {
    return InvalidField("recipe.calibration.question", MessageOf(built.status()));
  }
  GWQ_ASSIGN_OR_RETURN(Prompt prompt, std::move(built));
  if (static_cast<int64_t>(prompt.tokens.size()) > limit) {
    return InvalidField("recipe.calibration.max_tokens",
                        fmt::format("the sample has {} tokens with its image, {} are allowed; raise it, or give a "
                                    "smaller image",
                                    prompt.tokens.size(), limit));
  }
  CalibrationSample sample;
  sample.tokens = std::move(prompt.tokens);
  sample.positions = std::move(prompt.positions.positions);
  sample.tiles = GridsOf(prepared);
  sample.patches = std::move(prepared.patches);
  return sample;
}

}  // namespace gwq
