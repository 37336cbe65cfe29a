#include "core/vision/boxes.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/vision/box_formats.h"

namespace gwq {
namespace {

absl::Status NoFormat() {
  return absl::UnimplementedError("this model's family has no format for boxes; Qwen2-VL, Qwen2.5-VL and LLaVA have");
}

// INVALID_ARGUMENT if the image lacks what the format's frame is made of.
absl::Status CheckFrame(GroundingFormat format, const PreparedImage& image) {
  if (image.original_width < 1 || image.original_height < 1 || image.resized_width < 1 || image.resized_height < 1) {
    return absl::InvalidArgumentError("boxes of an image without pixels");
  }
  if (format == GroundingFormat::kLlava && image.tiles.size() != 1) {
    return absl::InvalidArgumentError(
        fmt::format("boxes of an image of {} tiles: LLaVA's lie in the one that its tower sees", image.tiles.size()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ParsedBoxes> ParseBoxes(GroundingFormat format, std::string_view answer, const PreparedImage& image) {
  if (format == GroundingFormat::kNone) return NoFormat();
  GWQ_RETURN_IF_ERROR(CheckFrame(format, image));
  if (format == GroundingFormat::kLlava) return ParseLlavaBoxes(answer, image);
  return format == GroundingFormat::kQwen2Vl ? ParseQwen2Boxes(answer, image) : ParseQwen25Boxes(answer, image);
}

absl::StatusOr<std::string> FormatBox(GroundingFormat format, const LabelledBox& labelled, const PreparedImage& image) {
  if (format == GroundingFormat::kNone) return NoFormat();
  GWQ_RETURN_IF_ERROR(CheckFrame(format, image));
  const PixelRect& box = labelled.box;
  const int width = image.original_width, height = image.original_height;
  if (auto wrong = WrongCorners({box.left, box.top, box.right, box.bottom}, width, height, "the image")) {
    return absl::InvalidArgumentError(*wrong);
  }
  if (format == GroundingFormat::kLlava) return FormatLlavaBox(box, image);
  return format == GroundingFormat::kQwen2Vl ? FormatQwen2Box(labelled, image) : FormatQwen25Box(labelled, image);
}

double IntersectionOverUnion(const PixelRect& a, const PixelRect& b) {
  const auto area = [](double width, double height) { return std::max(0.0, width) * std::max(0.0, height); };
  const double both = area(std::min(a.right, b.right) - std::max(a.left, b.left),
                           std::min(a.bottom, b.bottom) - std::max(a.top, b.top));
  const double all = area(a.right - a.left, a.bottom - a.top) + area(b.right - b.left, b.bottom - b.top) - both;
  return all > 0 ? both / all : 0;
}

}  // namespace gwq
