// The 64-byte header of a packed blob. Internal to core/format.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace gwq {

struct PackedHeader {
  std::array<char, 8> magic{};
  uint32_t version = 0;
  uint32_t bits = 0;
  uint64_t rows = 0;
  uint64_t cols = 0;
  uint64_t group_size = 0;
  uint64_t outliers = 0;
  std::array<std::byte, 16> zeros{};
};
static_assert(sizeof(PackedHeader) == 64);
static_assert(std::endian::native == std::endian::little, "sections are read in place as little-endian words");

inline constexpr std::array<char, 8> kPackedMagic = {'G', 'W', 'Q', 'P', 'A', 'C', 'K', '1'};
inline constexpr uint32_t kPackedVersion = 1;

}  // namespace gwq
