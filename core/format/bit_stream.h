// Fixed-width codes in a little-endian bit stream: code i occupies bits [i * width, (i + 1) * width), bit b of the
// stream being bit b % 8 of byte b / 8. Widths 1 to 8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gwq {

// Bytes that `count` codes take.
[[nodiscard]] constexpr uint64_t BitStreamBytes(uint64_t count, int width) {
  return (count * static_cast<uint64_t>(width) + 7) / 8;
}
// Writes all codes of `codes`; `out` has BitStreamBytes of them, is overwritten whole and ends in zero bits.
void WriteBitStream(std::span<const uint8_t> codes, int width, std::span<std::byte> out);
// Reads out.size() codes from the start of `stream`.
void ReadBitStream(std::span<const std::byte> stream, int width, std::span<uint8_t> out);
// Reads the `index`-th code.
[[nodiscard]] uint32_t ReadCode(std::span<const std::byte> stream, int width, uint64_t index);
// Whether the bits after `count` codes are zero.
[[nodiscard]] bool TailIsZero(std::span<const std::byte> stream, int width, uint64_t count);

}  // namespace gwq
