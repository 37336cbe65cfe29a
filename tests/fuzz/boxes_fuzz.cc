// Every box that is read lies in the image and has an area, and the model's own text for it reads back as it.
#include <cmath>

#include "core/vision/boxes.h"
#include "tests/fuzz/bytes.h"

namespace {

using gwq::fuzz::Require;

constexpr double kSquare = 1333;  // the side of what LLaVA sees

void RequireBox(gwq::GroundingFormat format, const gwq::LabelledBox& found, const gwq::PreparedImage& image) {
  const gwq::PixelRect& box = found.box;
  Require(box.left >= 0 && box.left < box.right && box.right <= image.original_width);
  Require(box.top >= 0 && box.top < box.bottom && box.bottom <= image.original_height);
  const gwq::LabelledBox plain = {.label = "it", .box = box};
  const auto text = gwq::FormatBox(format, plain, image);
  Require(text.ok());
  const auto again = gwq::ParseBoxes(format, *text, image);
  // Qwen2.5-VL's may be thinner than a pixel of the resized image, LLaVA's than a hundredth, which rounding takes
  // away.
  Require(again.ok() && again->boxes.size() + again->malformed.size() == 1);
  if (format == gwq::GroundingFormat::kQwen2Vl) Require(std::abs(again->boxes.at(0).box.left - box.left) < 1e-6);
  if (format == gwq::GroundingFormat::kLlava && !again->boxes.empty()) {
    Require(std::abs(again->boxes[0].box.left - box.left) < 0.00501 * kSquare);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gwq::PreparedImage image;
  image.original_width = 777;
  image.original_height = 1333;
  image.resized_width = 588;
  image.resized_height = 1008;
  image.tiles = {{.patches_high = 24, .patches_wide = 24, .shows = {-278, 0, kSquare - 278, kSquare}}};
  for (const auto format :
       {gwq::GroundingFormat::kQwen2Vl, gwq::GroundingFormat::kQwen25Vl, gwq::GroundingFormat::kLlava}) {
    const auto parsed = gwq::ParseBoxes(format, gwq::fuzz::Text(data, size), image);
    Require(parsed.ok());
    for (const gwq::LabelledBox& box : parsed->boxes) RequireBox(format, box, image);
    for (const gwq::MalformedBox& bad : parsed->malformed) Require(!bad.text.empty() && !bad.reason.empty());
  }
  return 0;
}
