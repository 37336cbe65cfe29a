#include <array>
#include <cstring>

#include "core/io/gguf.h"
#include "core/io/gguf_k_blocks.h"

namespace gwq {
namespace {

struct BlockInfo {
  GgmlType type;
  int64_t elements;
  uint64_t bytes;
  std::string_view name;
};

constexpr std::array<BlockInfo, 12> kBlocks = {{{GgmlType::kF32, 1, 4, "F32"},
                                                {GgmlType::kF16, 1, 2, "F16"},
                                                {GgmlType::kBF16, 1, 2, "BF16"},
                                                {GgmlType::kQ4_0, 32, 18, "Q4_0"},
                                                {GgmlType::kQ4_1, 32, 20, "Q4_1"},
                                                {GgmlType::kQ5_1, 32, 24, "Q5_1"},
                                                {GgmlType::kQ8_0, 32, 34, "Q8_0"},
                                                {GgmlType::kQ2_K, 256, 84, "Q2_K"},
                                                {GgmlType::kQ3_K, 256, 110, "Q3_K"},
                                                {GgmlType::kQ4_K, 256, 144, "Q4_K"},
                                                {GgmlType::kQ5_K, 256, 176, "Q5_K"},
                                                {GgmlType::kQ6_K, 256, 210, "Q6_K"}}};

const BlockInfo& InfoOf(GgmlType type) {
  for (const BlockInfo& info : kBlocks) {
    if (info.type == type) return info;
  }
  return kBlocks[0];
}

float HalfAt(const std::byte* from) {
  uint16_t bits = 0;
  std::memcpy(&bits, from, sizeof(bits));
  return HalfToFloat(bits);
}

// Codes 0..15 of a block are the low halves of its 16 bytes, codes 16..31 the high halves.
template <class Value>
void SplitNibbles(const std::byte* codes, float* out, Value value) {
  for (int i = 0; i < 16; ++i) {
    const int both = std::to_integer<int>(codes[i]);
    out[i] = value(both & 15);
    out[i + 16] = value(both >> 4);
  }
}

void Block(GgmlType type, const std::byte* block, float* out) {
  const float scale = HalfAt(block);
  switch (type) {
    case GgmlType::kQ4_0:
      SplitNibbles(block + 2, out, [&](int code) { return static_cast<float>(code - 8) * scale; });
      return;
    case GgmlType::kQ4_1: {
      const float minimum = HalfAt(block + 2);
      SplitNibbles(block + 4, out, [&](int code) { return static_cast<float>(code) * scale + minimum; });
      return;
    }
    case GgmlType::kQ5_1: {
      const float minimum = HalfAt(block + 2);
      uint32_t fifth = 0;  // bits of the codes, one a code
      std::memcpy(&fifth, block + 4, sizeof(fifth));
      SplitNibbles(block + 8, out, [](int code) { return static_cast<float>(code); });
      for (int i = 0; i < 32; ++i) out[i] = (out[i] + static_cast<float>((fifth >> i & 1) << 4)) * scale + minimum;
      return;
    }
    default:
      for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * scale;
  }
}

DType DenseType(GgmlType type) {
  return type == GgmlType::kF32 ? DType::kF32 : type == GgmlType::kF16 ? DType::kF16 : DType::kBF16;
}

}  // namespace

std::string_view GgmlTypeName(GgmlType type) { return InfoOf(type).name; }
int64_t GgmlBlockElements(GgmlType type) { return InfoOf(type).elements; }
uint64_t GgmlBlockBytes(GgmlType type) { return InfoOf(type).bytes; }

uint64_t GgmlBytes(GgmlType type, int64_t elements) {
  const BlockInfo& info = InfoOf(type);
  return static_cast<uint64_t>(elements / info.elements) * info.bytes;
}

void DequantizeGgml(GgmlType type, std::span<const std::byte> blocks, std::span<float> out) {
  const BlockInfo& info = InfoOf(type);
  if (info.elements == 1) {
    const auto count = static_cast<int64_t>(out.size());
    ToFloat({.type = DenseType(type), .shape = {count}, .data = blocks}, 0, out);
    return;
  }
  const std::byte* block = blocks.data();
  if (IsKType(type)) {
    for (size_t i = 0; i < out.size(); i += 256, block += info.bytes) {
      DequantizeKBlock(type, UnpackKBlock(type, block), out.subspan(i).first<256>());
    }
    return;
  }
  for (size_t i = 0; i < out.size(); i += static_cast<size_t>(info.elements), block += info.bytes) {
    Block(type, block, out.data() + i);
  }
}

}  // namespace gwq
