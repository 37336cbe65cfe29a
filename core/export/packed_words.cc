#include "core/export/packed_words.h"

#include <algorithm>
#include <bit>

#include "core/format/bit_stream.h"

namespace gwq {

static_assert(std::endian::native == std::endian::little, "a stream of bits is a row of little-endian words");

void PackWords(std::span<const uint8_t> codes, int bits, std::span<uint32_t> out) {
  if (!out.empty()) out.back() = 0;  // bytes behind the stream's last
  WriteBitStream(codes, bits, std::as_writable_bytes(out).first(BitStreamBytes(codes.size(), bits)));
}

std::vector<uint32_t> PackColumns(std::span<const uint8_t> codes, int64_t cols, int bits) {
  const int64_t rows = static_cast<int64_t>(codes.size()) / cols;
  const int64_t words = PackedWords(rows, bits);
  std::vector<uint32_t> out(static_cast<size_t>(words * cols));
  std::vector<uint8_t> column(static_cast<size_t>(rows));
  std::vector<uint32_t> packed(static_cast<size_t>(words));
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) column[static_cast<size_t>(r)] = codes[static_cast<size_t>(r * cols + c)];
    PackWords(column, bits, packed);
    for (int64_t w = 0; w < words; ++w) out[static_cast<size_t>(w * cols + c)] = packed[static_cast<size_t>(w)];
  }
  return out;
}

}  // namespace gwq
