#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/vision/box_formats.h"

namespace gwq {
namespace {

constexpr double kHalfHundredth = 0.005 * (1 + 1e-9);  // what is rounded by as much is off by a last bit more

// Four numbers with commas between; nullopt if it is none of that.
std::optional<Corners> ReadList(std::string_view inside) {
  Corners corners;
  for (size_t i = 0; i < corners.size(); ++i) {
    const size_t comma = std::min(inside.find(','), inside.size());
    if ((comma == inside.size()) != (i + 1 == corners.size())) return std::nullopt;
    const std::string_view number = TrimBlanks(inside.substr(0, comma));
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
  const std::string_view first = TrimBlanks(inside.substr(0, comma));
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
  if (auto wrong = WrongCorners(mapped, width, height, "the image")) return refuse("in pixels, " + *wrong);
  out.boxes.push_back({"", {mapped[0], mapped[1], mapped[2], mapped[3]}});
}

}  // namespace

ParsedBoxes ParseLlavaBoxes(std::string_view answer, const PreparedImage& image) {
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
absl::StatusOr<std::string> FormatLlavaBox(const PixelRect& box, const PreparedImage& image) {
  const PixelRect& shows = image.tiles[0].shows;
  const double wide = shows.right - shows.left, high = shows.bottom - shows.top;
  const auto x = [&](double value) { return std::clamp((value - shows.left) / wide, 0.0, 1.0); };
  const auto y = [&](double value) { return std::clamp((value - shows.top) / high, 0.0, 1.0); };
  const Corners at = {x(box.left), y(box.top), x(box.right), y(box.bottom)};
  if (at[0] >= at[2] || at[1] >= at[3]) {
    return absl::InvalidArgumentError(
        fmt::format("({}, {}) to ({}, {}) lies outside what the model sees of the image: ({}, {}) to ({}, {})",
                    box.left, box.top, box.right, box.bottom, shows.left, shows.top, shows.right, shows.bottom));
  }
  return fmt::format("[{:.2f}, {:.2f}, {:.2f}, {:.2f}]", at[0], at[1], at[2], at[3]);
}

}  // namespace gwq
