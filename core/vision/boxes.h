// The boxes that an answer names, in pixels of the image that was asked about.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/vision/image_processor.h"

namespace gwq {

struct LabelledBox {
  std::string label;  // empty if the answer gives none
  PixelRect box;      // inside the original image, with an area
};

// A part of an answer that begins like a box and is not one.
struct MalformedBox {
  std::string text;    // as the answer has it
  std::string reason;  // names the value and the limit
};

struct ParsedBoxes {
  std::vector<LabelledBox> boxes;
  std::vector<MalformedBox> malformed;
};

// Reads `answer`, decoded with its special tokens kept, as the family writes boxes:
//   Qwen2-VL    <|object_ref_start|>label<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>, a label may be
//               missing or have several boxes. A value q in 0..999 stands for [q, q + 1) thousandths of the image's
//               side, as int(1000 * x / side) writes it, and becomes the middle of that.
//   Qwen2.5-VL  objects {"bbox_2d": [x1, y1, x2, y2], "label": text}, in a JSON list or not, fenced or not. The values
//               are pixels of the resized image.
//   LLaVA-1.5   [x1, y1, x2, y2], decimals from 0 to 1 of the square that the tower's patches show: the padded image,
//               or the part that is cut out of it. A bracket that starts with a number and has a comma begins like a
//               box. No labels. Two decimals are exact to half a hundredth: a corner that is outside the image by
//               no more than that is moved to its border, which is seldom at a whole hundredth of a padded square.
// A box that cannot be read, lies outside the image even in part, or has no area is reported in `malformed`; nothing
// else is repaired or clamped. For an answer without boxes both lists are empty. UNIMPLEMENTED for a family without a
// format. Reference: Qwen2-VL (arXiv 2409.12191) section 3.1; Qwen2.5-VL (arXiv 2502.13923) section 2.2; LLaVA-1.5
// (arXiv 2310.03744), with the frame of its training data: github.com/haotian-liu/LLaVA/issues/606.
[[nodiscard]] absl::StatusOr<ParsedBoxes> ParseBoxes(GroundingFormat format, std::string_view answer,
                                                     const PreparedImage& image);

// The text that a model is trained to answer with for one box. ParseBoxes reads it back within half a step of the
// format; a box thinner than a step may be written without area. The box must be inside the image. If the model sees
// only a part of the image, that part of the box is written. INVALID_ARGUMENT if it has no area.
[[nodiscard]] absl::StatusOr<std::string> FormatBox(GroundingFormat format, const LabelledBox& box,
                                                    const PreparedImage& image);

// Intersection over union; 0 if they do not meet.
[[nodiscard]] double IntersectionOverUnion(const PixelRect& a, const PixelRect& b);

}  // namespace gwq
