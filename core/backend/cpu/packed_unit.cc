#include "core/backend/cpu/packed_unit.h"

#include <cstring>
#include <span>

namespace gwq {
namespace {

// Bits [shift, shift + width) of a word: a piece of a code. The pieces of a code follow from its lowest bits up.
struct Piece {
  int word;
  int shift;
  int width;
};

// Codes that stand whole in a word come first; those in the spare top bits of several words follow.
struct Layout {
  int bits;
  int words;
  std::span<const Piece> spare;
};

constexpr Piece kSpareOfU3[] = {{0, 30, 2}, {1, 30, 1}, {2, 30, 2}, {1, 31, 1}};
constexpr Piece kSpareOfU5[] = {{0, 30, 2}, {1, 30, 2}, {4, 30, 1}, {2, 30, 2}, {3, 30, 2}, {4, 31, 1}};
constexpr Piece kSpareOfU6[] = {{0, 30, 2}, {1, 30, 2}, {2, 30, 2}};

Layout LayoutOf(Encoding encoding) {
  switch (encoding) {
    case Encoding::kU2:
      return {2, 1, {}};
    case Encoding::kU3:
      return {3, 3, kSpareOfU3};
    case Encoding::kU4:
      return {4, 1, {}};
    case Encoding::kU5:
      return {5, 5, kSpareOfU5};
    case Encoding::kU6:
      return {6, 3, kSpareOfU6};
    case Encoding::kU8:
    case Encoding::kF16:
    case Encoding::kBF16:
    case Encoding::kF32:
      return {};  // not in words
  }
  return {};
}

constexpr uint32_t Mask(int width) { return (1U << width) - 1; }

// Calls visit(piece) for the pieces of a column's code.
template <class Visit>
void ForEachPiece(const Layout& layout, int col, const Visit& visit) {
  const int whole = 32 / layout.bits;
  if (col < whole * layout.words) {
    visit(Piece{col / whole, layout.bits * (col % whole), layout.bits});
    return;
  }
  int before = (col - whole * layout.words) * layout.bits;  // bits of spare codes to pass over, whole pieces of them
  int left = layout.bits;
  for (const Piece& piece : layout.spare) {
    if (before > 0) {
      before -= piece.width;
    } else if (left > 0) {
      visit(piece);
      left -= piece.width;
    }
  }
}

constexpr int64_t kWordBytes = 4 * kTileRows;  // of one word for each output of a tile

}  // namespace

void PutCode(Encoding encoding, uint8_t* unit, int64_t lane, int64_t col, uint8_t code) {
  if (encoding == Encoding::kU8) {
    unit[col * kTileRows + lane] = code;
    return;
  }
  uint32_t left = code;
  ForEachPiece(LayoutOf(encoding), static_cast<int>(col), [&](const Piece& piece) {
    uint8_t* at = unit + piece.word * kWordBytes + lane * 4;
    uint32_t word;
    std::memcpy(&word, at, sizeof(word));
    word |= (left & Mask(piece.width)) << piece.shift;
    std::memcpy(at, &word, sizeof(word));
    left >>= piece.width;
  });
}

uint8_t CodeAt(Encoding encoding, const uint8_t* unit, int64_t lane, int64_t col) {
  if (encoding == Encoding::kU8) return unit[col * kTileRows + lane];
  uint32_t code = 0;
  int have = 0;
  ForEachPiece(LayoutOf(encoding), static_cast<int>(col), [&](const Piece& piece) {
    uint32_t word;
    std::memcpy(&word, unit + piece.word * kWordBytes + lane * 4, sizeof(word));
    code |= (word >> piece.shift & Mask(piece.width)) << have;
    have += piece.width;
  });
  return static_cast<uint8_t>(code);
}

}  // namespace gwq
