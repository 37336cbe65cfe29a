#include "core/format/bit_stream.h"

namespace gwq {

void WriteBitStream(std::span<const uint8_t> codes, int width, std::span<std::byte> out) {
  uint32_t pending = 0;
  int bits = 0;
  size_t next = 0;
  for (uint8_t code : codes) {
    pending |= static_cast<uint32_t>(code) << bits;
    for (bits += width; bits >= 8; bits -= 8, pending >>= 8) out[next++] = static_cast<std::byte>(pending & 0xffu);
  }
  if (bits > 0) out[next] = static_cast<std::byte>(pending & 0xffu);
}

void ReadBitStream(std::span<const std::byte> stream, int width, std::span<uint8_t> out) {
  const uint32_t mask = (1u << width) - 1;
  uint32_t pending = 0;
  int bits = 0;
  size_t next = 0;
  for (uint8_t& code : out) {
    for (; bits < width; bits += 8) pending |= std::to_integer<uint32_t>(stream[next++]) << bits;
    code = static_cast<uint8_t>(pending & mask);
    pending >>= width;
    bits -= width;
  }
}

uint32_t ReadCode(std::span<const std::byte> stream, int width, uint64_t index) {
  const uint64_t bit = index * static_cast<uint64_t>(width);
  const uint64_t byte = bit / 8;
  const int shift = static_cast<int>(bit % 8);
  uint32_t word = std::to_integer<uint32_t>(stream[byte]);
  if (shift + width > 8) word |= std::to_integer<uint32_t>(stream[byte + 1]) << 8;
  return (word >> shift) & ((1u << width) - 1);
}

bool TailIsZero(std::span<const std::byte> stream, int width, uint64_t count) {
  const uint64_t used = count * static_cast<uint64_t>(width);
  if (used % 8 == 0) return true;
  return (std::to_integer<uint32_t>(stream[used / 8]) >> (used % 8)) == 0;
}

}  // namespace gwq
