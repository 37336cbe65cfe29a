// Letters of 5 x 7 pixels for labels on images.
#pragma once

#include <array>
#include <cstdint>

namespace gwq {

inline constexpr int kGlyphWidth = 5;
inline constexpr int kGlyphHeight = 7;

using Glyph = std::array<uint8_t, kGlyphHeight>;  // rows from the top; bit 4 is the leftmost pixel

// The glyph of a printable ASCII character; a blank one for every other.
[[nodiscard]] const Glyph& GlyphOf(char character);

}  // namespace gwq
