#include "core/io/gguf_k_blocks.h"

#include <cstring>

#include "core/base/tensor_view.h"

namespace gwq {
namespace {

constexpr std::array<KType, 5> kTypes = {{{GgmlType::kQ2_K, 16, 0, 3, true, 0, 15},
                                          {GgmlType::kQ3_K, 16, -4, 3, false, -32, 31},
                                          {GgmlType::kQ4_K, 32, 0, 15, true, 0, 63},
                                          {GgmlType::kQ5_K, 32, 0, 31, true, 0, 63},
                                          {GgmlType::kQ6_K, 16, -32, 31, false, -128, 127}}};

// Packs and unpacks with one description of the layout: a visitor says for each field which bits of which byte it has.
// Reader: field |= bits; writer: bits |= field.
struct BitReader {
  const std::byte* bytes;
  // Bits [shift, shift + width) of the byte at `at` are bits [from, from + width) of `value`.
  void Field(int& value, int at, int shift, int width, int from) const {
    value |= (std::to_integer<int>(bytes[at]) >> shift & ((1 << width) - 1)) << from;
  }
  void Half(float& value, int at) const {
    uint16_t half = 0;
    std::memcpy(&half, bytes + at, sizeof(half));
    value = HalfToFloat(half);
  }
};
struct BitWriter {
  std::byte* bytes;
  void Field(const int& value, int at, int shift, int width, int from) const {
    bytes[at] |= static_cast<std::byte>((value >> from & ((1 << width) - 1)) << shift);
  }
  void Half(const float& value, int at) const {
    const uint16_t half = FloatToHalf(value);
    std::memcpy(bytes + at, &half, sizeof(half));
  }
};

// The block as unsigned fields: signed ones with their least value added.
struct KFields {
  float scale = 0;
  float minimum = 0;
  std::array<int, 16> scales{};
  std::array<int, 16> minima{};
  std::array<int, 256> codes{};
};

// 2 bits each: 32 bytes hold elements of four rows of 32, a row in each pair of bits.
template <class Bits, class Codes>
void TwoBits(const Bits& bits, Codes& codes, int at, int from) {
  for (int i = 0; i < 256; ++i) bits.Field(codes[i], at + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2, from);
}
// 1 bit each: byte l holds bit j for element 32 j + l.
template <class Bits, class Codes>
void OneBit(const Bits& bits, Codes& codes, int at, int from) {
  for (int i = 0; i < 256; ++i) bits.Field(codes[i], at + i % 32, i / 32, 1, from);
}
// 4 bits each: `run` bytes hold two rows of `run` elements.
template <class Bits, class Codes>
void FourBits(const Bits& bits, Codes& codes, int at, int run) {
  for (int i = 0; i < 256; ++i) bits.Field(codes[i], at + i / (2 * run) * run + i % run, i / run % 2 * 4, 4, 0);
}

template <class Bits, class Fields>
void LayoutQ2(const Bits& bits, Fields& f) {
  for (int i = 0; i < 16; ++i) {
    bits.Field(f.scales[i], i, 0, 4, 0);
    bits.Field(f.minima[i], i, 4, 4, 0);
  }
  TwoBits(bits, f.codes, 16, 0);
  bits.Half(f.scale, 80);
  bits.Half(f.minimum, 82);
}

template <class Bits, class Fields>
void LayoutQ3(const Bits& bits, Fields& f) {
  OneBit(bits, f.codes, 0, 2);
  TwoBits(bits, f.codes, 32, 0);
  for (int i = 0; i < 16; ++i) {
    bits.Field(f.scales[i], 96 + i % 8, i / 8 * 4, 4, 0);
    bits.Field(f.scales[i], 104 + i % 4, i / 4 * 2, 2, 4);
  }
  bits.Half(f.scale, 108);
}

// Scale and minimum, then 8 scales and 8 minima of 6 bits in 12 bytes.
template <class Bits, class Fields>
void LayoutScales(const Bits& bits, Fields& f) {
  bits.Half(f.scale, 0);
  bits.Half(f.minimum, 2);
  for (int i = 0; i < 4; ++i) {
    bits.Field(f.scales[i], 4 + i, 0, 6, 0);
    bits.Field(f.scales[4 + i], 4 + i, 6, 2, 4);
    bits.Field(f.minima[i], 8 + i, 0, 6, 0);
    bits.Field(f.minima[4 + i], 8 + i, 6, 2, 4);
    bits.Field(f.scales[4 + i], 12 + i, 0, 4, 0);
    bits.Field(f.minima[4 + i], 12 + i, 4, 4, 0);
  }
}

template <class Bits, class Fields>
void LayoutQ6(const Bits& bits, Fields& f) {
  FourBits(bits, f.codes, 0, 64);
  TwoBits(bits, f.codes, 128, 4);
  for (int i = 0; i < 16; ++i) bits.Field(f.scales[i], 192 + i, 0, 8, 0);
  bits.Half(f.scale, 208);
}

template <class Bits, class Fields>
void Layout(GgmlType type, const Bits& bits, Fields& f) {
  switch (type) {
    case GgmlType::kQ2_K:
      return LayoutQ2(bits, f);
    case GgmlType::kQ3_K:
      return LayoutQ3(bits, f);
    case GgmlType::kQ4_K:
      LayoutScales(bits, f);
      return FourBits(bits, f.codes, 16, 32);
    case GgmlType::kQ5_K:
      LayoutScales(bits, f);
      OneBit(bits, f.codes, 16, 4);
      return FourBits(bits, f.codes, 48, 32);
    default:
      return LayoutQ6(bits, f);
  }
}

// Q6_K's scales are stored in two's complement, Q3_K's with 32 added.
int ScaleShift(const KType& type) { return type.type == GgmlType::kQ3_K ? 32 : 0; }
int SignedScale(const KType& type, int field) {
  if (type.type == GgmlType::kQ6_K) return static_cast<int8_t>(field);
  return field - ScaleShift(type);
}

}  // namespace

bool IsKType(GgmlType type) {
  for (const KType& known : kTypes) {
    if (known.type == type) return true;
  }
  return false;
}

const KType& KTypeOf(GgmlType type) {
  for (const KType& known : kTypes) {
    if (known.type == type) return known;
  }
  return kTypes[0];
}

KBlock UnpackKBlock(GgmlType type, const std::byte* bytes) {
  const KType& k = KTypeOf(type);
  KFields fields;
  Layout(type, BitReader{bytes}, fields);
  KBlock block;
  block.scale = fields.scale;
  block.minimum = fields.minimum;
  for (size_t i = 0; i < 16; ++i) {
    block.part_scales[i] = SignedScale(k, fields.scales[i]);
    block.part_minima[i] = fields.minima[i];
  }
  for (size_t i = 0; i < 256; ++i) block.codes[i] = static_cast<int8_t>(fields.codes[i] + k.low);
  return block;
}

void PackKBlock(GgmlType type, const KBlock& block, std::byte* bytes) {
  const KType& k = KTypeOf(type);
  KFields fields;
  fields.scale = block.scale;
  fields.minimum = block.minimum;
  for (size_t i = 0; i < 16; ++i) {
    fields.scales[i] = block.part_scales[i] + ScaleShift(k);
    fields.minima[i] = block.part_minima[i];
  }
  for (size_t i = 0; i < 256; ++i) fields.codes[i] = block.codes[i] - k.low;
  std::memset(bytes, 0, GgmlBlockBytes(type));
  Layout(type, BitWriter{bytes}, fields);
}

void DequantizeKBlock(GgmlType type, const KBlock& block, std::span<float, 256> out) {
  const auto part = static_cast<size_t>(KTypeOf(type).part);
  for (size_t i = 0; i < 256; ++i) {
    const float scale = block.scale * static_cast<float>(block.part_scales[i / part]);
    const float minimum = block.minimum * static_cast<float>(block.part_minima[i / part]);
    out[i] = scale * static_cast<float>(block.codes[i]) - minimum;
  }
}

}  // namespace gwq
