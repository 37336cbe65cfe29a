// Codes packed without gaps into 32-bit words, as compressed-tensors and GPTQ do: code i takes the bits from i * bits
// on, a word's lowest bits first. Private to core/export.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gwq {

[[nodiscard]] constexpr int64_t PackedWords(int64_t codes, int bits) { return (codes * bits + 31) / 32; }

// `out` has PackedWords(codes.size(), bits) words; the bits behind the last code are zero.
void PackWords(std::span<const uint8_t> codes, int bits, std::span<uint32_t> out);

// A matrix of codes, row-major with `cols` columns, packed down each column: word w of column c is out[w * cols + c].
[[nodiscard]] std::vector<uint32_t> PackColumns(std::span<const uint8_t> codes, int64_t cols, int bits);

}  // namespace gwq
