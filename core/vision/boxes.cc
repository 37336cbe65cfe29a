#include "core/vision/boxes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

constexpr std::string_view kRefStart = "<|object_ref_start|>", kRefEnd = "<|object_ref_end|>";
constexpr std::string_view kBoxStart = "<|box_start|>", kBoxEnd = "<|box_end|>";
constexpr int kThousandths = 1000;

using Corners = std::array<double, 4>;  // x1, y1, x2, y2 as the answer has them

// Why these corners are no box in a frame whose values reach to `width` and `height`, these included.
std::optional<std::string> WrongCorners(const Corners& at, double width, double height, std::string_view frame) {
  for (size_t i = 0; i < at.size(); ++i) {
    const double side = i % 2 == 0 ? width : height;
    if (at[i] >= 0 && at[i] <= side) continue;
    return fmt::format("{} is outside {}: values of {} are in [0, {}]", at[i], frame, i % 2 == 0 ? "x" : "y", side);
  }
  if (at[0] >= at[2] || at[1] >= at[3]) {
    return fmt::format("({}, {}) to ({}, {}) has no area", at[0], at[1], at[2], at[3]);
  }
  return std::nullopt;
}

// --- Qwen2-VL: values of 0 to 999 between special tokens.

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

std::string_view Trim(std::string_view text) {
  const size_t first = std::min(text.find_first_not_of(" \n\t"), text.size());
  return text.substr(first, text.find_last_not_of(" \n\t") + 1 - first);
}

// The middle of the thousandth that `value` names.
double FromThousandths(double value, int side) { return (value + 0.5) / kThousandths * side; }

void ReadQwen2Box(std::string_view inside, std::string_view whole, std::string_view label, const PreparedImage& image,
                  ParsedBoxes& out) {
  const auto refuse = [&](std::string reason) { out.malformed.push_back({std::string(whole), std::move(reason)}); };
  const std::optional<Corners> at = CornerReader(inside).Read();
  if (!at.has_value()) return refuse("is not (x1,y1),(x2,y2) with whole numbers");
  if (auto wrong = WrongCorners(*at, kThousandths - 1, kThousandths - 1, "the picture")) return refuse(*wrong);
  out.boxes.push_back(
      {std::string(label),
       {FromThousandths((*at)[0], image.original_width), FromThousandths((*at)[1], image.original_height),
        FromThousandths((*at)[2], image.original_width), FromThousandths((*at)[3], image.original_height)}});
}

ParsedBoxes ParseQwen2(std::string_view answer, const PreparedImage& image) {
  ParsedBoxes out;
  std::string_view label;
  size_t label_end = 0;
  for (size_t at = 0; at < answer.size();) {
    const size_t ref = answer.find(kRefStart, at), box = answer.find(kBoxStart, at);
    if (ref == box) break;  // neither
    if (ref < box) {
      const size_t from = ref + kRefStart.size(), to = answer.find(kRefEnd, from);
      // A label that does not end before the next box belongs to none.
      label = to < answer.find(kBoxStart, from) ? Trim(answer.substr(from, to - from)) : std::string_view();
      at = to == std::string_view::npos || label.empty() ? from : to + kRefEnd.size();
      label_end = at;
      continue;
    }
    // A label holds for the boxes that follow it without text between.
    if (!Trim(answer.substr(label_end, box - label_end)).empty()) label = {};
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

// --- Qwen2.5-VL: JSON objects in pixels of the resized picture.

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

ParsedBoxes ParseQwen25(std::string_view answer, const PreparedImage& image) {
  ParsedBoxes out;
  // Multiplied first: the resized picture's edge is then exactly the original's.
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
    if (auto wrong = WrongCorners(at, image.resized_width, image.resized_height, "the resized picture")) {
      refuse(*wrong);
      continue;
    }
    // Once more: corners that differ by the last bit may have become one.
    const Corners mapped = {original_x(at[0]), original_y(at[1]), original_x(at[2]), original_y(at[3])};
    if (auto wrong = WrongCorners(mapped, image.original_width, image.original_height, "the picture")) {
      refuse(*wrong);
      continue;
    }
    out.boxes.push_back({label, {mapped[0], mapped[1], mapped[2], mapped[3]}});
  }
  return out;
}

// --- LLaVA: four decimals in brackets, of the square that the tower sees.

constexpr double kHalfHundredth = 0.005 * (1 + 1e-9);  // what is rounded by as much is off by a last bit more

// Four numbers with commas between; nullopt where it is none of that.
std::optional<Corners> ReadList(std::string_view inside) {
  Corners corners;
  for (size_t i = 0; i < corners.size(); ++i) {
    const size_t comma = std::min(inside.find(','), inside.size());
    if ((comma == inside.size()) != (i + 1 == corners.size())) return std::nullopt;
    const std::string_view number = Trim(inside.substr(0, comma));
    const char* const end = number.data() + number.size();
    const auto [stop, error] = std::from_chars(number.data(), end, corners[i], std::chars_format::fixed);
    if (error != std::errc() || stop != end || !std::isfinite(corners[i])) return std::nullopt;
    inside.remove_prefix(std::min(comma + 1, inside.size()));
  }
  return corners;
}

// "[0.5, ..." wants to be a box, "[1]" and "[sic]" do not.
bool WantsToBeAList(std::string_view inside) {
  const size_t comma = inside.find(',');
  if (comma == std::string_view::npos) return false;
  const std::string_view first = Trim(inside.substr(0, comma));
  return !first.empty() && first.find_first_not_of("+-.0123456789") == std::string_view::npos;
}

// A corner that is outside by no more than the format's precision is on the border.
double SnapToBorder(double value, double side, double precision) {
  const double inside = std::clamp(value, 0.0, side);
  return std::abs(value - inside) <= precision ? inside : value;
}

void ReadLlavaBox(std::string_view inside, std::string_view whole, const PreparedImage& image, ParsedBoxes& out) {
  const auto refuse = [&](std::string reason) { out.malformed.push_back({std::string(whole), std::move(reason)}); };
  const std::optional<Corners> at = ReadList(inside);
  if (!at.has_value()) return refuse("is not [x1, y1, x2, y2] with decimals");
  if (auto wrong = WrongCorners(*at, 1, 1, "the square that the model sees")) return refuse(*wrong);
  const PixelRect& shows = image.tiles[0].shows;
  const double wide = shows.right - shows.left, high = shows.bottom - shows.top;
  const double width = image.original_width, height = image.original_height;
  Corners mapped;
  for (size_t i = 0; i < mapped.size(); ++i) {
    mapped[i] = i % 2 == 0 ? SnapToBorder(shows.left + (*at)[i] * wide, width, kHalfHundredth * wide)
                           : SnapToBorder(shows.top + (*at)[i] * high, height, kHalfHundredth * high);
  }
  if (auto wrong = WrongCorners(mapped, width, height, "the picture")) return refuse("in pixels, " + *wrong);
  out.boxes.push_back({"", {mapped[0], mapped[1], mapped[2], mapped[3]}});
}

ParsedBoxes ParseLlava(std::string_view answer, const PreparedImage& image) {
  ParsedBoxes out;
  for (size_t open = answer.find('['); open != std::string_view::npos;) {
    const size_t next = answer.find('[', open + 1);
    const std::string_view piece = answer.substr(open, next == std::string_view::npos ? next : next - open);
    const size_t close = piece.find(']');
    const std::string_view inside = piece.substr(1, close == std::string_view::npos ? close : close - 1);
    if (WantsToBeAList(inside)) {
      if (close == std::string_view::npos) {
        out.malformed.push_back({std::string(piece), "] is missing"});
      } else {
        ReadLlavaBox(inside, piece.substr(0, close + 1), image, out);
      }
    }
    open = next;
  }
  return out;
}

// The part of the box that the model sees.
absl::StatusOr<std::string> FormatLlava(const PixelRect& box, const PreparedImage& image) {
  const PixelRect& shows = image.tiles[0].shows;
  const double wide = shows.right - shows.left, high = shows.bottom - shows.top;
  const auto x = [&](double value) { return std::clamp((value - shows.left) / wide, 0.0, 1.0); };
  const auto y = [&](double value) { return std::clamp((value - shows.top) / high, 0.0, 1.0); };
  const Corners at = {x(box.left), y(box.top), x(box.right), y(box.bottom)};
  if (at[0] >= at[2] || at[1] >= at[3]) {
    return absl::InvalidArgumentError(
        fmt::format("({}, {}) to ({}, {}) lies outside what the model sees of the picture: ({}, {}) to ({}, {})",
                    box.left, box.top, box.right, box.bottom, shows.left, shows.top, shows.right, shows.bottom));
  }
  return fmt::format("[{:.2f}, {:.2f}, {:.2f}, {:.2f}]", at[0], at[1], at[2], at[3]);
}

absl::Status NoFormat() {
  return absl::UnimplementedError("this model's family has no format for boxes; Qwen2-VL, Qwen2.5-VL and LLaVA have");
}

// INVALID_ARGUMENT where the picture lacks what the format's frame is made of.
absl::Status CheckFrame(GroundingFormat format, const PreparedImage& image) {
  if (image.original_width < 1 || image.original_height < 1 || image.resized_width < 1 || image.resized_height < 1) {
    return absl::InvalidArgumentError("boxes of a picture without pixels");
  }
  if (format == GroundingFormat::kLlava && image.tiles.size() != 1) {
    return absl::InvalidArgumentError(
        fmt::format("boxes of a picture of {} tiles: LLaVA's lie in the one that its tower sees", image.tiles.size()));
  }
  return absl::OkStatus();
}

int ToThousandths(double value, int side) {
  return std::clamp(static_cast<int>(std::floor(value / side * kThousandths)), 0, kThousandths - 1);
}

int64_t ToResized(double value, int side, int resized) { return std::llround(value / side * resized); }

}  // namespace

absl::StatusOr<ParsedBoxes> ParseBoxes(GroundingFormat format, std::string_view answer, const PreparedImage& image) {
  if (format == GroundingFormat::kNone) return NoFormat();
  GWQ_RETURN_IF_ERROR(CheckFrame(format, image));
  if (format == GroundingFormat::kLlava) return ParseLlava(answer, image);
  return format == GroundingFormat::kQwen2Vl ? ParseQwen2(answer, image) : ParseQwen25(answer, image);
}

absl::StatusOr<std::string> FormatBox(GroundingFormat format, const LabelledBox& labelled, const PreparedImage& image) {
  if (format == GroundingFormat::kNone) return NoFormat();
  GWQ_RETURN_IF_ERROR(CheckFrame(format, image));
  const PixelRect& box = labelled.box;
  const int width = image.original_width, height = image.original_height;
  if (auto wrong = WrongCorners({box.left, box.top, box.right, box.bottom}, width, height, "the picture")) {
    return absl::InvalidArgumentError(*wrong);
  }
  if (format == GroundingFormat::kLlava) return FormatLlava(box, image);
  if (format == GroundingFormat::kQwen2Vl) {
    return fmt::format("{}{}{}{}({},{}),({},{}){}", kRefStart, labelled.label, kRefEnd, kBoxStart,
                       ToThousandths(box.left, width), ToThousandths(box.top, height), ToThousandths(box.right, width),
                       ToThousandths(box.bottom, height), kBoxEnd);
  }
  const nlohmann::json corners = {
      ToResized(box.left, width, image.resized_width), ToResized(box.top, height, image.resized_height),
      ToResized(box.right, width, image.resized_width), ToResized(box.bottom, height, image.resized_height)};
  return CanonicalJson({{"bbox_2d", corners}, {"label", labelled.label}});
}

double IntersectionOverUnion(const PixelRect& a, const PixelRect& b) {
  const auto area = [](double width, double height) { return std::max(0.0, width) * std::max(0.0, height); };
  const double both = area(std::min(a.right, b.right) - std::max(a.left, b.left),
                           std::min(a.bottom, b.bottom) - std::max(a.top, b.top));
  const double all = area(a.right - a.left, a.bottom - a.top) + area(b.right - b.left, b.bottom - b.top) - both;
  return all > 0 ? both / all : 0;
}

}  // namespace gwq
