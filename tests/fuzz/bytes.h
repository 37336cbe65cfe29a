// What every fuzz target shares: the input as bytes and text, and a check that ends the process where libFuzzer sees
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

namespace gwq::fuzz {

inline std::span<const std::byte> Bytes(const uint8_t* data, size_t size) {
  return std::as_bytes(std::span<const uint8_t>(data, size));
}

inline std::string_view Text(const uint8_t* data, size_t size) {
  return std::string_view(reinterpret_cast<const char*>(data), size);
}

// For what must hold of every input that a parser accepts.
inline void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace gwq::fuzz
