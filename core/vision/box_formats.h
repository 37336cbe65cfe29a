// A family's own text for boxes, behind ParseBoxes and FormatBox (boxes.h), which check what is common.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/vision/boxes.h"

namespace gwq {

using Corners = std::array<double, 4>;  // x1, y1, x2, y2

// Why these corners are no box in `frame`, whose values reach to `width` and `height`, these included; nullopt if
// they are one.
[[nodiscard]] std::optional<std::string> WrongCorners(const Corners& at, double width, double height,
                                                      std::string_view frame);

// Without the spaces, tabs and line ends around it.
[[nodiscard]] std::string_view TrimBlanks(std::string_view text);

// Values of 0 to 999 between special tokens.
[[nodiscard]] ParsedBoxes ParseQwen2Boxes(std::string_view answer, const PreparedImage& image);
[[nodiscard]] std::string FormatQwen2Box(const LabelledBox& labelled, const PreparedImage& image);

// JSON objects in pixels of the resized image.
[[nodiscard]] ParsedBoxes ParseQwen25Boxes(std::string_view answer, const PreparedImage& image);
[[nodiscard]] std::string FormatQwen25Box(const LabelledBox& labelled, const PreparedImage& image);

// Four decimals in brackets, of the square that the tower sees: the image has one tile.
[[nodiscard]] ParsedBoxes ParseLlavaBoxes(std::string_view answer, const PreparedImage& image);
[[nodiscard]] absl::StatusOr<std::string> FormatLlavaBox(const PixelRect& box, const PreparedImage& image);

}  // namespace gwq
