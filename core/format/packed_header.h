// How a packed blob begins. Internal to core/format.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace gwq {

static_assert(std::endian::native == std::endian::little, "sections are read in place as little-endian words");

// Every format.
struct PackedStart {
  std::array<char, 8> magic{};
  uint32_t version = 0;
};

// The 64-byte header of "affine".
struct AffineHeader {
  std::array<char, 8> magic{};
  uint32_t version = 0;
  uint32_t bits = 0;
  uint64_t rows = 0;
  uint64_t cols = 0;
  uint64_t group_size = 0;
  uint64_t outliers = 0;
  uint32_t scale_bits = 0;  // zero in version 1
  std::array<std::byte, 12> zeros{};
};
static_assert(sizeof(AffineHeader) == 64);

// Offsets of sections and sizes of blobs are multiples of this.
inline constexpr uint64_t kSectionAlignment = 64;
constexpr uint64_t AlignSection(uint64_t offset) {
  return (offset + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

constexpr bool IsFiniteHalf(uint16_t bits) { return (bits & 0x7c00u) != 0x7c00u; }
constexpr bool IsPositiveHalf(uint16_t bits) { return bits > 0 && bits < 0x7c00u; }

// DATA_LOSS "packed matrix: ...".
[[nodiscard]] absl::Status BrokenMatrix(std::string_view what);

}  // namespace gwq
