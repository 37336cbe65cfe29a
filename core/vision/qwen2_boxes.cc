#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/vision/box_formats.h"

namespace gwq {
namespace {

constexpr std::string_view kRefStart = "<|object_ref_start|>", kRefEnd = "<|object_ref_end|>";
constexpr std::string_view kBoxStart = "<|box_start|>", kBoxEnd = "<|box_end|>";
constexpr int kThousandths = 1000;

// Reads "(x1,y1),(x2,y2)", spaces allowed where Qwen's own files have some.
class CornerReader {
 public:
  explicit CornerReader(std::string_view text) : rest_(text) {}
  std::optional<Corners> Read() {
    Corners corners;
    for (size_t i = 0; i < corners.size(); ++i) {
      int value = 0;
      if (!Skip(i % 2 == 0 ? '(' : ',') || !Number(value) || (i % 2 == 1 && !Skip(')'))) return std::nullopt;
      if (i == 1 && !Skip(',')) return std::nullopt;
      corners[i] = value;
    }
    SkipSpaces();
    return rest_.empty() ? std::optional(corners) : std::nullopt;
  }

 private:
  void SkipSpaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n\t"), rest_.size())); }
  bool Skip(char c) {
    SkipSpaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Number(int& value) {
    SkipSpaces();
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return true;
  }

  std::string_view rest_;
};

// The middle of the thousandth that `value` names.
double FromThousandths(double value, int side) { return (value + 0.5) / kThousandths * side; }

void ReadQwen2Box(std::string_view inside, std::string_view whole, std::string_view label, const PreparedImage& image,
                  ParsedBoxes& out) {
  const auto refuse = [&](std::string reason) { out.malformed.push_back({std::string(whole), std::move(reason)}); };
  const std::optional<Corners> at = CornerReader(inside).Read();
  if (!at.has_value()) return refuse("is not (x1,y1),(x2,y2) with whole numbers");
  if (auto wrong = WrongCorners(*at, kThousandths - 1, kThousandths - 1, "the image")) return refuse(*wrong);
  out.boxes.push_back(
      {std::string(label),
       {FromThousandths((*at)[0], image.original_width), FromThousandths((*at)[1], image.original_height),
        FromThousandths((*at)[2], image.original_width), FromThousandths((*at)[3], image.original_height)}});
}

int ToThousandths(double value, int side) {
  return std::clamp(static_cast<int>(std::floor(value / side * kThousandths)), 0, kThousandths - 1);
}

}  // namespace

ParsedBoxes ParseQwen2Boxes(std::string_view answer, const PreparedImage& image) {
  ParsedBoxes out;
  std::string_view label;
  size_t label_end = 0;
  for (size_t at = 0; at < answer.size();) {
    const size_t ref = answer.find(kRefStart, at), box = answer.find(kBoxStart, at);
    if (ref == box) break;  // neither
    if (ref < box) {
      const size_t from = ref + kRefStart.size(), to = answer.find(kRefEnd, from);
      // A label that does not end before the next box belongs to none.
      label = to < answer.find(kBoxStart, from) ? TrimBlanks(answer.substr(from, to - from)) : std::string_view();
      at = to == std::string_view::npos || label.empty() ? from : to + kRefEnd.size();
      label_end = at;
      continue;
    }
    // A label holds for the boxes that follow it without text between.
    if (!TrimBlanks(answer.substr(label_end, box - label_end)).empty()) label = {};
    const size_t from = box + kBoxStart.size(), to = answer.find(kBoxEnd, from), next = answer.find(kBoxStart, from);
    if (to == std::string_view::npos || next < to) {
      const std::string_view text = answer.substr(box, next == std::string_view::npos ? next : next - box);
      out.malformed.push_back({std::string(text), fmt::format("{} is missing", kBoxEnd)});
      at = label_end = std::min(next, answer.size());
      continue;
    }
    at = label_end = to + kBoxEnd.size();
    ReadQwen2Box(answer.substr(from, to - from), answer.substr(box, at - box), label, image, out);
  }
  return out;
}

std::string FormatQwen2Box(const LabelledBox& labelled, const PreparedImage& image) {
  const PixelRect& box = labelled.box;
  const int width = image.original_width, height = image.original_height;
  return fmt::format("{}{}{}{}({},{}),({},{}){}", kRefStart, labelled.label, kRefEnd, kBoxStart,
                     ToThousandths(box.left, width), ToThousandths(box.top, height), ToThousandths(box.right, width),
                     ToThousandths(box.bottom, height), kBoxEnd);
}

}  // namespace gwq
