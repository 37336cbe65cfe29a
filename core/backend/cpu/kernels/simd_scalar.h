// Sixteen lanes in plain C++. Internal linkage on purpose: every kernel source has its own copy under its own flags.
#pragma once

#include <cstdint>

namespace gwq {
namespace {

struct ScalarSimd {
  static constexpr int kRowBlock = 1;
  static constexpr int kHeadsTogether = 1;
  static constexpr int kDirectRows = 1;
  struct F {
    float lane[16];
  };
  struct Words {
    uint32_t lane[16];
  };

  template <class Make>
  static F Each(Make make) {
    F out;
    for (int i = 0; i < 16; ++i) out.lane[i] = make(i);
    return out;
  }
  template <class T>
  static T Read(const uint8_t* from, int index) {
    T value;
    __builtin_memcpy(&value, from + index * static_cast<int>(sizeof(T)), sizeof(T));
    return value;
  }
  static float Float(uint32_t bits) { return __builtin_bit_cast(float, bits); }
  static uint32_t Bits(float value) { return __builtin_bit_cast(uint32_t, value); }

  static F Zero() {
    return Each([](int) { return 0.0F; });
  }
  static F Broadcast(float value) {
    return Each([&](int) { return value; });
  }
  static F Load(const float* from) {
    return Each([&](int i) { return from[i]; });
  }
  static void Store(float* to, F value) {
    for (int i = 0; i < 16; ++i) to[i] = value.lane[i];
  }
  static F Add(F a, F b) {
    return Each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static F Sub(F a, F b) {
    return Each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static F Mul(F a, F b) {
    return Each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static F Div(F a, F b) {
    return Each([&](int i) { return a.lane[i] / b.lane[i]; });
  }
  static F Fma(F a, F b, F c) {
    return Each([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
  }
  static F Fnma(F a, F b, F c) {
    return Each([&](int i) { return __builtin_fmaf(-a.lane[i], b.lane[i], c.lane[i]); });
  }
  // Where a lane is not a number these give the second operand, as the instructions of the same name do.
  static F Max(F a, F b) {
    return Each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F Min(F a, F b) {
    return Each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F Abs(F a) {
    return Each([&](int i) { return Float(Bits(a.lane[i]) & 0x7fffffffu); });
  }
  // a, or zero where x < limit.
  static F ZeroBelow(F a, F x, F limit) {
    return Each([&](int i) { return x.lane[i] < limit.lane[i] ? 0.0F : a.lane[i]; });
  }
  // Adds the integer in the low bits of t to the exponent of a.
  static F AddExponent(F a, F t) {
    return Each([&](int i) { return Float(Bits(a.lane[i]) + (Bits(t.lane[i]) << 23)); });
  }

  static float Half(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t mantissa = half & 0x3ffu;
    if (exponent == 0x1f) return Float(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return Float(sign | ((exponent + 112) << 23) | (mantissa << 13));
    return Float(sign | Bits(static_cast<float>(mantissa) * 0x1p-24F));
  }

  static Words LoadWords(const uint8_t* from) {
    Words out;
    __builtin_memcpy(&out, from, sizeof(out));
    return out;
  }
  // Code J of `Bits` bits, from bit 0 up.
  template <int Bits, int J>
  static F Code(const Words& w) {
    return Each([&](int i) { return static_cast<float>((w.lane[i] >> (Bits * J)) & ((1u << Bits) - 1)); });
  }
  // The codes that stand in the spare bits of several words (matrix_tiles.h): from the lowest bits up, the top two of
  // `low`, of `middle`, and then bit `Bit` of `high`, or its top two.
  template <int Bit>
  static F Split3(const Words& low, const Words& high) {
    return Each([&](int i) { return static_cast<float>((low.lane[i] >> 30) | (((high.lane[i] >> Bit) & 1u) << 2)); });
  }
  template <int Bit>
  static F Split5(const Words& low, const Words& middle, const Words& high) {
    return Each([&](int i) {
      return static_cast<float>((low.lane[i] >> 30) | (middle.lane[i] >> 30 << 2) |
                                (((high.lane[i] >> Bit) & 1u) << 4));
    });
  }
  static F Split6(const Words& low, const Words& middle, const Words& high) {
    return Each([&](int i) {
      return static_cast<float>((low.lane[i] >> 30) | (middle.lane[i] >> 30 << 2) | (high.lane[i] >> 30 << 4));
    });
  }
  static F Bytes(const uint8_t* from) {
    return Each([&](int i) { return static_cast<float>(from[i]); });
  }
  static F Halves(const uint8_t* from) {
    return Each([&](int i) { return Half(Read<uint16_t>(from, i)); });
  }
  static F Brains(const uint8_t* from) {
    return Each([&](int i) { return Float(static_cast<uint32_t>(Read<uint16_t>(from, i)) << 16); });
  }
  static F Floats(const uint8_t* from) {
    return Each([&](int i) { return Read<float>(from, i); });
  }

  // Adds one rank of outliers (matrix_tiles.h): entries of the lanes in `mask`, the other lanes stay as they are.
  static F AddRank(const uint32_t* entries, uint32_t mask, const float* x, F sum) {
    for (; mask != 0; mask &= mask - 1, ++entries) {
      float& lane = sum.lane[__builtin_ctz(mask)];
      lane = __builtin_fmaf(Half(static_cast<uint16_t>(*entries >> 16)), x[*entries & 0xffffu], lane);
    }
    return sum;
  }
};

}  // namespace
}  // namespace gwq
