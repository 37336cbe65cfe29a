// Weights as blocks of GGUF's types.
#pragma once

#include <cstddef>
#include <span>

#include "core/io/gguf.h"

namespace gwq {

// A grid that weights may lie on: (code - zero) * scale. A scale of 0 says that none is known.
struct GgmlGrid {
  float scale = 0;
  float zero = 0;  // a whole number
};

// Rounds `weights`, finite and whole blocks of `type` (any but BF16), into `out`, exactly their bytes. `grids` is empty
// or has one for each 32 weights.
// - F32 as they are; F16 rounded, beyond its range to its largest number
// - Q8_0, Q4_0, Q4_1, Q5_1: of the grid that is known, for Q8_0 also divided by powers of two, and grids that span the
//   weights, the one with the least squared error. Weights on a known grid whose codes fit stay what they are; the
//   minimum of Q4_1 and Q5_1, -zero * scale, is rounded to FP16.
// - k-quants: per part the scale (and minimum) with the least squared error among some that nearly span the weights,
//   then rounded to the bits that the type gives them; `grids` are not used. llama.cpp's own search weighs weights by
//   importance and tries more.
void QuantizeGgml(GgmlType type, std::span<const float> weights, std::span<const GgmlGrid> grids,
                  std::span<std::byte> out);

}  // namespace gwq
