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

// Codes that stand whole in a word come first, each word full before the next; those in the words' spare top bits
// follow.
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

constexpr size_t kMostWords = 5;
constexpr int64_t kWordBytes = 4 * kTileRows;  // of one word for each output of a tile

constexpr uint32_t Mask(int width) { return (1U << width) - 1; }

// Calls visit(code, piece) for the pieces of the spare codes, counted from 0.
template <class Visit>
void ForEachSparePiece(const Layout& layout, const Visit& visit) {
  int code = 0;
  int left = layout.bits;
  for (const Piece& piece : layout.spare) {
    visit(static_cast<size_t>(code), piece, layout.bits - left);
    left -= piece.width;
    if (left > 0) continue;
    left = layout.bits;
    ++code;
  }
}

}  // namespace

void PutUnit(Encoding encoding, uint8_t* unit, int64_t lane, std::span<const uint8_t> codes) {
  if (encoding == Encoding::kU8) {
    for (size_t col = 0; col < codes.size(); ++col) unit[static_cast<int64_t>(col) * kTileRows + lane] = codes[col];
    return;
  }
  const Layout layout = LayoutOf(encoding);
  uint32_t words[kMostWords] = {};
  size_t col = 0;
  for (int word = 0; word < layout.words; ++word) {
    for (int shift = 0; shift + layout.bits <= 32 && col < codes.size(); shift += layout.bits, ++col) {
      words[word] |= static_cast<uint32_t>(codes[col]) << shift;
    }
  }
  ForEachSparePiece(layout, [&](size_t code, const Piece& piece, int from) {
    if (col + code >= codes.size()) return;
    words[piece.word] |= (static_cast<uint32_t>(codes[col + code]) >> from & Mask(piece.width)) << piece.shift;
  });
  for (int word = 0; word < layout.words; ++word) {
    std::memcpy(unit + word * kWordBytes + lane * 4, &words[word], sizeof(uint32_t));
  }
}

uint8_t CodeAt(Encoding encoding, const uint8_t* unit, int64_t lane, int64_t col) {
  if (encoding == Encoding::kU8) return unit[col * kTileRows + lane];
  const Layout layout = LayoutOf(encoding);
  const auto bits_at = [&](const Piece& piece) {
    uint32_t word;
    std::memcpy(&word, unit + piece.word * kWordBytes + lane * 4, sizeof(word));
    return word >> piece.shift & Mask(piece.width);
  };
  const int whole = 32 / layout.bits;
  const int at = static_cast<int>(col);
  if (at < whole * layout.words) {
    return static_cast<uint8_t>(bits_at({at / whole, layout.bits * (at % whole), layout.bits}));
  }
  uint32_t found = 0;
  ForEachSparePiece(layout, [&](size_t code, const Piece& piece, int from) {
    if (code == static_cast<size_t>(at - whole * layout.words)) found |= bits_at(piece) << from;
  });
  return static_cast<uint8_t>(found);
}

}  // namespace gwq
