// The k-quants of ggml: blocks of 256 weights with scales of their parts in few bits. Private to core/io.
// Layouts: github.com/ggml-org/ggml, src/ggml-common.h and ggml-quants.c; the same in gguf-py's quants.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/io/gguf.h"

namespace gwq {

// A block taken apart. Q2_K, Q4_K and Q5_K: weight = scale * part_scale * code - minimum * part_minimum, codes from 0
// on. Q3_K and Q6_K: weight = scale * part_scale * code, codes of both signs, no minima.
struct KBlock {
  float scale = 0;                    // of FP16
  float minimum = 0;                  // of FP16
  std::array<int, 16> part_scales{};  // 16 parts of 16, or 8 of 32
  std::array<int, 16> part_minima{};
  std::array<int8_t, 256> codes{};
};

// What fixes a k-quant: the rest is where its bits lie.
struct KType {
  GgmlType type;
  int part;       // weights of a part: 16 or 32
  int low, high;  // of a code
  bool minima;
  int scale_low, scale_high;  // of a part's scale; minima go from 0 to scale_high
};

[[nodiscard]] bool IsKType(GgmlType type);
// `type` is one.
[[nodiscard]] const KType& KTypeOf(GgmlType type);

// `bytes` has the type's block bytes. What PackKBlock writes, UnpackKBlock reads.
[[nodiscard]] KBlock UnpackKBlock(GgmlType type, const std::byte* bytes);
void PackKBlock(GgmlType type, const KBlock& block, std::byte* bytes);
void DequantizeKBlock(GgmlType type, const KBlock& block, std::span<float, 256> out);

}  // namespace gwq
