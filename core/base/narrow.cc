#include "core/base/narrow.h"

#include <bit>
#include <cstring>

namespace gwq {

std::vector<std::byte> FromFloat(std::span<const float> values, DType type) {
  std::vector<std::byte> out(values.size() * DTypeSize(type));
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* const to = out.data() + i * DTypeSize(type);
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    if (type == DType::kF32) {
      std::memcpy(to, &bits, sizeof(bits));
      continue;
    }
    const uint32_t odd = (bits >> 16) & 1U;
    const uint16_t half =
        type == DType::kF16 ? FloatToHalf(values[i]) : static_cast<uint16_t>((bits + 0x7FFFU + odd) >> 16);
    std::memcpy(to, &half, sizeof(half));
  }
  return out;
}

}  // namespace gwq
