#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/vision/box_formats.h"

namespace gwq {
namespace {

// One past the brace that closes the one at `start`, or npos: braces in JSON strings do not count.
size_t ObjectEnd(std::string_view text, size_t start) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = start; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        quoted = false;
    } else if (text[i] == '"') {
      quoted = true;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// The fields bbox_2d and label, or why they are none.
absl::StatusOr<std::pair<Corners, std::string>> ReadObject(std::string_view text) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJson("box", text, {.max_bytes = 1 << 16, .max_depth = 8}));
  const auto found = object.find("bbox_2d");
  if (found == object.end()) return absl::InvalidArgumentError("has no field bbox_2d");
  Corners corners;
  if (!found->is_array() || found->size() != corners.size()) {
    return absl::InvalidArgumentError("bbox_2d is not a list of four numbers");
  }
  for (size_t i = 0; i < corners.size(); ++i) {
    if (!(*found)[i].is_number()) return absl::InvalidArgumentError("bbox_2d is not a list of four numbers");
    corners[i] = (*found)[i].get<double>();
  }
  const auto label = object.find("label");
  if (label == object.end()) return std::pair(corners, std::string());
  if (!label->is_string()) return absl::InvalidArgumentError("label is not a string");
  return std::pair(corners, label->get<std::string>());
}

int64_t ToResized(double value, int side, int resized) { return std::llround(value / side * resized); }

}  // namespace

ParsedBoxes ParseQwen25Boxes(std::string_view answer, const PreparedImage& image) {
  ParsedBoxes out;
  // Multiplied first: the resized image's edge is then exactly the original's.
  const auto original_x = [&](double x) { return x * image.original_width / image.resized_width; };
  const auto original_y = [&](double y) { return y * image.original_height / image.resized_height; };
  for (size_t start = answer.find('{'); start != std::string_view::npos;) {
    const size_t end = ObjectEnd(answer, start);
    const std::string_view text = answer.substr(start, end == std::string_view::npos ? end : end - start);
    start = end == std::string_view::npos ? end : answer.find('{', end);
    const auto refuse = [&](std::string_view reason) {
      out.malformed.push_back({std::string(text), std::string(reason)});
    };
    if (end == std::string_view::npos) {
      refuse("the object does not end");
      continue;
    }
    const auto read = ReadObject(text);
    if (!read.ok()) {
      refuse(MessageOf(read.status()));
      continue;
    }
    const auto& [at, label] = *read;
    if (auto wrong = WrongCorners(at, image.resized_width, image.resized_height, "the resized image")) {
      refuse(*wrong);
      continue;
    }
    // Once more: corners that differ by the last bit may have become one.
    const Corners mapped = {original_x(at[0]), original_y(at[1]), original_x(at[2]), original_y(at[3])};
    if (auto wrong = WrongCorners(mapped, image.original_width, image.original_height, "the image")) {
      refuse(*wrong);
      continue;
    }
    out.boxes.push_back({label, {mapped[0], mapped[1], mapped[2], mapped[3]}});
  }
  return out;
}

std::string FormatQwen25Box(const LabelledBox& labelled, const PreparedImage& image) {
  const PixelRect& box = labelled.box;
  const int width = image.original_width, height = image.original_height;
  const nlohmann::json corners = {
      ToResized(box.left, width, image.resized_width), ToResized(box.top, height, image.resized_height),
      ToResized(box.right, width, image.resized_width), ToResized(box.bottom, height, image.resized_height)};
  return CanonicalJson({{"bbox_2d", corners}, {"label", labelled.label}});
}

}  // namespace gwq
