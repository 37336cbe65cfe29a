// Sixteen lanes in one 512-bit register. See simd_scalar.h for the meaning of each operation.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace gwq {
namespace {

struct Avx512Simd {
  static constexpr int kRowBlock = 6;
  static constexpr int kHeadsTogether = 4;
  static constexpr int kDirectRows = 4;
  using F = __m512;
  using Words = __m512i;

  static F Zero() { return _mm512_setzero_ps(); }
  static F Broadcast(float value) { return _mm512_set1_ps(value); }
  static F Load(const float* from) { return _mm512_loadu_ps(from); }
  static void Store(float* to, F value) { _mm512_storeu_ps(to, value); }
  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm512_div_ps(a, b); }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F Fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static F Abs(F a) { return _mm512_abs_ps(a); }
  static F ZeroBelow(F a, F x, F limit) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), a); }
  static F AddExponent(F a, F t) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
  }

  static Words LoadWords(const uint8_t* from) { return _mm512_loadu_si512(from); }
  // The permutations read the low four bits of an index, or five with two tables, so that only 6 bits need a mask.
  static F U4Table() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
  static F U3Table() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7); }
  static F U2Table() { return _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3); }
  static F U5(Words index) {
    const F high = _mm512_setr_ps(16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    return _mm512_permutex2var_ps(U4Table(), index, high);
  }
  template <int Bits, int J>
  static F Code(Words w) {
    const Words index = _mm512_srli_epi32(w, Bits * J);
    if constexpr (Bits == 2) return _mm512_permutexvar_ps(index, U2Table());
    if constexpr (Bits == 3) return _mm512_permutexvar_ps(index, U3Table());
    if constexpr (Bits == 4) return _mm512_permutexvar_ps(index, U4Table());
    if constexpr (Bits == 5) return U5(index);
    if constexpr (Bits == 6) return _mm512_cvtepi32_ps(_mm512_and_si512(index, _mm512_set1_epi32(63)));
  }
  template <int Bit>
  static F Split3(Words low, Words high) {
    // low | (high & 4)
    const Words index = _mm512_ternarylogic_epi32(_mm512_srli_epi32(low, 30), _mm512_srli_epi32(high, Bit - 2),
                                                  _mm512_set1_epi32(4), 0xf8);
    return _mm512_permutexvar_ps(index, U3Table());
  }
  // The top two bits of `low`, and above them those of `middle`.
  static Words TopBits(Words low, Words middle) {
    return _mm512_ternarylogic_epi32(_mm512_srli_epi32(low, 30), _mm512_srli_epi32(middle, 28), _mm512_set1_epi32(12),
                                     0xf8);
  }
  template <int Bit>
  static F Split5(Words low, Words middle, Words high) {
    return U5(
        _mm512_ternarylogic_epi32(TopBits(low, middle), _mm512_srli_epi32(high, Bit - 4), _mm512_set1_epi32(16), 0xf8));
  }
  static F Split6(Words low, Words middle, Words high) {
    return _mm512_cvtepi32_ps(
        _mm512_ternarylogic_epi32(TopBits(low, middle), _mm512_srli_epi32(high, 26), _mm512_set1_epi32(48), 0xf8));
  }
  static F Bytes(const uint8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  static F Halves(const uint8_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static F Brains(const uint8_t* from) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static F Floats(const uint8_t* from) { return _mm512_loadu_ps(from); }

  static float Half(uint16_t bits) { return _cvtsh_ss(bits); }
  static F AddRank(const uint32_t* entries, uint32_t mask, const float* x, F sum) {
    const auto lanes = static_cast<__mmask16>(mask);
    const __m512i entry = _mm512_maskz_expandloadu_epi32(lanes, entries);
    const __m512i column = _mm512_and_si512(entry, _mm512_set1_epi32(0xffff));
    const F factor = _mm512_mask_i32gather_ps(Zero(), lanes, column, x, sizeof(float));
    const F value = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(entry, 16)));
    return _mm512_mask3_fmadd_ps(value, factor, sum, lanes);
  }
};

}  // namespace
}  // namespace gwq
