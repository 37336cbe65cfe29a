#include "client/draw/draw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "client/draw/glyphs.h"

namespace gwq {
namespace {

using Colour = std::array<uint8_t, 3>;

// Told apart by most eyes, on light and dark images.
constexpr Colour kColours[] = {{230, 60, 50}, {30, 110, 220}, {240, 170, 20},
                               {20, 150, 90}, {170, 60, 190}, {0, 170, 190}};
constexpr Colour kWhite = {255, 255, 255};
constexpr int kPixelsPerUnit = 250;  // of the image's shorter side, for one pixel of a letter

class Painter {
 public:
  explicit Painter(Image& image) : image_(image) {}

  // Pixels [left, right) x [top, bottom), as far as they are inside.
  void Fill(int left, int top, int right, int bottom, const Colour& colour) {
    for (int y = std::max(0, top); y < std::min(bottom, image_.height); ++y) {
      for (int x = std::max(0, left); x < std::min(right, image_.width); ++x) {
        std::copy(colour.begin(), colour.end(), image_.Row(y) + size_t{3} * x);
      }
    }
  }

  // The lines lie inside the rectangle.
  void Frame(int left, int top, int right, int bottom, int line, const Colour& colour) {
    Fill(left, top, right, std::min(bottom, top + line), colour);
    Fill(left, std::max(top, bottom - line), right, bottom, colour);
    Fill(left, top, std::min(right, left + line), bottom, colour);
    Fill(std::max(left, right - line), top, right, bottom, colour);
  }

  void Letter(const Glyph& glyph, int left, int top, int unit, const Colour& colour) {
    for (int row = 0; row < kGlyphHeight; ++row) {
      for (int column = 0; column < kGlyphWidth; ++column) {
        if ((glyph[row] >> (kGlyphWidth - 1 - column) & 1) == 0) continue;
        Fill(left + column * unit, top + row * unit, left + (column + 1) * unit, top + (row + 1) * unit, colour);
      }
    }
  }

 private:
  Image& image_;
};

std::string Printable(std::string_view label) {
  std::string text;
  std::ranges::copy_if(label, std::back_inserter(text), [](char c) { return c >= ' ' && c <= '~'; });
  return text;
}

// A plate above the box, or inside it at the upper border of the image.
void DrawLabel(Painter& painter, const std::string& text, int left, int top, int unit, const Colour& colour) {
  const int height = (kGlyphHeight + 2) * unit;
  const int plate = top >= height ? top - height : top;
  const int advance = (kGlyphWidth + 1) * unit;
  painter.Fill(left, plate, left + static_cast<int>(text.size()) * advance + unit, plate + height, colour);
  for (size_t i = 0; i < text.size(); ++i) {
    painter.Letter(GlyphOf(text[i]), left + unit + static_cast<int>(i) * advance, plate + unit, unit, kWhite);
  }
}

// To a pixel not far outside, so that sums of such coordinates cannot overflow.
int ToPixel(double value, int side) { return static_cast<int>(std::lround(std::clamp(value, -1.0, side + 1.0))); }

}  // namespace

void DrawBoxes(std::span<const LabelledBox> boxes, Image& image) {
  Painter painter(image);
  const int unit = (std::min(image.width, image.height) + kPixelsPerUnit - 1) / kPixelsPerUnit;
  constexpr size_t kLongestLabel = 200;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const Colour& colour = kColours[i % std::size(kColours)];
    const PixelRect& box = boxes[i].box;
    const int left = ToPixel(box.left, image.width), top = ToPixel(box.top, image.height);
    painter.Frame(left, top, ToPixel(box.right, image.width), ToPixel(box.bottom, image.height), unit + 1, colour);
    const std::string text = Printable(boxes[i].label).substr(0, kLongestLabel);
    if (!text.empty()) DrawLabel(painter, text, left, top, unit, colour);
  }
}

}  // namespace gwq
