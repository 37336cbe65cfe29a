// Numbers drawn from a seed, the same on every machine.
#pragma once

#include <cstdint>

namespace gwq {

// SplitMix64 (Steele, Lea, Flood 2014), draw number `index`.
[[nodiscard]] constexpr uint64_t Draw(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace gwq
