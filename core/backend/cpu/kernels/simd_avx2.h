// Sixteen lanes in two 256-bit registers. See simd_scalar.h for the meaning of each operation.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace gwq {
namespace {

struct Avx2Simd {
  static constexpr int kRowBlock = 1;
  static constexpr int kHeadsTogether = 1;
  static constexpr int kDirectRows = 1;
  struct F {
    __m256 a, b;
  };
  struct Words {
    __m256i a, b;
  };

  static __m256i Int(__m256 value) { return _mm256_castps_si256(value); }
  static __m256 Float(__m256i value) { return _mm256_castsi256_ps(value); }

  static F Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F Broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static F Load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static void Store(float* to, F value) {
    _mm256_storeu_ps(to, value.a);
    _mm256_storeu_ps(to + 8, value.b);
  }
  static F Add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  static F Sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
  static F Mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  static F Div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
  static F Fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
  static F Fnma(F x, F y, F z) { return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)}; }
  static F Max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
  static F Min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  static F Abs(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
  }
  static F ZeroBelow(F value, F x, F limit) {
    return {_mm256_and_ps(_mm256_cmp_ps(x.a, limit.a, _CMP_NLT_UQ), value.a),
            _mm256_and_ps(_mm256_cmp_ps(x.b, limit.b, _CMP_NLT_UQ), value.b)};
  }
  static F AddExponent(F value, F t) {
    return {Float(_mm256_add_epi32(Int(value.a), _mm256_slli_epi32(Int(t.a), 23))),
            Float(_mm256_add_epi32(Int(value.b), _mm256_slli_epi32(Int(t.b), 23)))};
  }

  static Words LoadWords(const uint8_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))};
  }
  // The permutation of eight reads the low three bits of an index: no mask.
  static __m256 U3Table() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
  template <int Bits, int J>
  static __m256 Code(__m256i word) {
    const __m256i index = _mm256_srli_epi32(word, Bits * J);
    if constexpr (Bits == 3) return _mm256_permutevar8x32_ps(U3Table(), index);
    return _mm256_cvtepi32_ps(_mm256_and_si256(index, _mm256_set1_epi32((1 << Bits) - 1)));
  }
  template <int Bits, int J>
  static F Code(Words w) {
    return {Code<Bits, J>(w.a), Code<Bits, J>(w.b)};
  }
  template <int Bit>
  static F Split3(Words low, Words high) {
    const __m256i four = _mm256_set1_epi32(4);
    const __m256i a =
        _mm256_or_si256(_mm256_srli_epi32(low.a, 30), _mm256_and_si256(_mm256_srli_epi32(high.a, Bit - 2), four));
    const __m256i b =
        _mm256_or_si256(_mm256_srli_epi32(low.b, 30), _mm256_and_si256(_mm256_srli_epi32(high.b, Bit - 2), four));
    return {_mm256_permutevar8x32_ps(U3Table(), a), _mm256_permutevar8x32_ps(U3Table(), b)};
  }
  // The top two bits of `low`, above them those of `middle`, and above these the bits of `high` in `mask` after
  // `shift`.
  static __m256 TopBits(__m256i low, __m256i middle, __m256i high, int shift, int mask) {
    const __m256i two = _mm256_or_si256(_mm256_srli_epi32(low, 30),
                                        _mm256_and_si256(_mm256_srli_epi32(middle, 28), _mm256_set1_epi32(12)));
    return _mm256_cvtepi32_ps(
        _mm256_or_si256(two, _mm256_and_si256(_mm256_srli_epi32(high, shift), _mm256_set1_epi32(mask))));
  }
  template <int Bit>
  static F Split5(Words low, Words middle, Words high) {
    return {TopBits(low.a, middle.a, high.a, Bit - 4, 16), TopBits(low.b, middle.b, high.b, Bit - 4, 16)};
  }
  static F Split6(Words low, Words middle, Words high) {
    return {TopBits(low.a, middle.a, high.a, 26, 48), TopBits(low.b, middle.b, high.b, 26, 48)};
  }
  static F Bytes(const uint8_t* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
  }
  static F Halves(const uint8_t* from) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))),
            _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16)))};
  }
  static __m256 Brain(const uint8_t* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return Float(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static F Brains(const uint8_t* from) { return {Brain(from), Brain(from + 16)}; }
  static F Floats(const uint8_t* from) { return Load(reinterpret_cast<const float*>(from)); }

  static float Half(uint16_t bits) { return _cvtsh_ss(bits); }
  static F AddRank(const uint32_t* entries, uint32_t mask, const float* x, F sum) {
    alignas(32) float lanes[16];
    Store(lanes, sum);
    for (; mask != 0; mask &= mask - 1, ++entries) {
      float& lane = lanes[__builtin_ctz(mask)];
      lane = __builtin_fmaf(_cvtsh_ss(static_cast<uint16_t>(*entries >> 16)), x[*entries & 0xffffu], lane);
    }
    return Load(lanes);
  }
};

}  // namespace
}  // namespace gwq
