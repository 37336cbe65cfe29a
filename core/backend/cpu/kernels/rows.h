// Kernels over single rows: exponential, gates, RMS norm, attention. See matmul.h for why all is internal.
#pragma once

#include <cstdint>

#include "core/backend/cpu/kernels/kernels.h"
#include "core/backend/cpu/kernels/repeat.h"

namespace gwq {
namespace {

// e^x to about 1e-7 relative, zero below -87.3: x = n ln 2 + r, e^r by its Taylor series on [-ln 2 / 2, ln 2 / 2].
template <class V>
inline typename V::F Exp(typename V::F x) {
  using F = typename V::F;
  const F low = V::Broadcast(-87.33F);
  const F clamped = V::Min(V::Broadcast(88.37F), V::Max(low, x));
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  const F magic = V::Broadcast(12582912.0F);
  const F shifted = V::Fma(clamped, V::Broadcast(1.44269504F), magic);
  const F n = V::Sub(shifted, magic);
  F r = V::Fnma(n, V::Broadcast(0.693145751953125F), clamped);
  r = V::Fnma(n, V::Broadcast(1.42860677e-6F), r);
  F p = V::Broadcast(1.0F / 5040);
  const float series[] = {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
  for (float c : series) p = V::Fma(p, r, V::Broadcast(c));
  return V::ZeroBelow(V::AddExponent(p, shifted), x, low);
}

// x / (1 + e^-y)
template <class V>
inline typename V::F TimesSigmoid(typename V::F x, typename V::F y) {
  const auto one = V::Broadcast(1.0F);
  return V::Div(x, V::Add(one, Exp<V>(V::Sub(V::Zero(), y))));
}

// x * Phi(x) = max(x, 0) - |x| * erfc(|x| / sqrt 2) / 2, with erfc from Abramowitz and Stegun 7.1.26 (error 1.5e-7).
template <class V>
inline typename V::F Gelu(typename V::F x) {
  using F = typename V::F;
  const F magnitude = V::Abs(x);
  const F z = V::Mul(magnitude, V::Broadcast(0.70710678F));
  const F t = V::Div(V::Broadcast(1.0F), V::Fma(z, V::Broadcast(0.3275911F), V::Broadcast(1.0F)));
  F p = V::Broadcast(1.061405429F);
  const float series[] = {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F};
  for (float c : series) p = V::Fma(p, t, V::Broadcast(c));
  const F tail = V::Mul(V::Mul(p, t), Exp<V>(V::Sub(V::Zero(), V::Mul(z, z))));
  return V::Fnma(V::Mul(magnitude, V::Broadcast(0.5F)), tail, V::Max(V::Zero(), x));
}

// 0.5 x (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
template <class V>
inline typename V::F GeluTanh(typename V::F x) {
  using F = typename V::F;
  const F cubic = V::Fma(V::Mul(V::Mul(x, x), x), V::Broadcast(0.044715F), x);
  return TimesSigmoid<V>(x, V::Mul(cubic, V::Broadcast(2 * 0.79788456F)));
}

template <class V>
void GateRow(GateKernel kind, const float* g, const float* u, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) {
    const auto x = V::Load(g + i);
    typename V::F gated = x;
    switch (kind) {
      case GateKernel::kSilu:
        gated = TimesSigmoid<V>(x, x);
        break;
      case GateKernel::kGelu:
        gated = Gelu<V>(x);
        break;
      case GateKernel::kGeluTanh:
        gated = GeluTanh<V>(x);
        break;
      case GateKernel::kQuickGelu:
        gated = TimesSigmoid<V>(x, V::Mul(x, V::Broadcast(1.702F)));
        break;
      case GateKernel::kRelu:
        gated = V::Max(V::Zero(), x);
        break;
    }
    V::Store(out + i, u == nullptr ? gated : V::Mul(gated, V::Load(u + i)));
  }
}

// Lanes i and i + 8, then i + 4, i + 2, i + 1.
template <class V>
inline float SumLanes(typename V::F value) {
  alignas(64) float lanes[16];
  V::Store(lanes, value);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <class V>
inline float MaxLanes(typename V::F value) {
  alignas(64) float lanes[16];
  V::Store(lanes, value);
  float top = lanes[0];
  for (int i = 1; i < 16; ++i) top = top > lanes[i] ? top : lanes[i];
  return top;
}

template <class V>
void RmsNorm(const float* x, const float* weight, int64_t width, float epsilon, float* out) {
  const int64_t padded = RoundUp(width, kRowPad);
  auto even = V::Zero();
  auto odd = V::Zero();
  for (int64_t i = 0; i < padded; i += 32) {
    even = V::Fma(V::Load(x + i), V::Load(x + i), even);
    odd = V::Fma(V::Load(x + i + 16), V::Load(x + i + 16), odd);
  }
  const float mean = SumLanes<V>(V::Add(even, odd)) / static_cast<float>(width);
  const auto inverse = V::Broadcast(1.0F / __builtin_sqrtf(mean + epsilon));
  for (int64_t i = 0; i < padded; i += 16) {
    V::Store(out + i, V::Mul(V::Mul(V::Load(x + i), inverse), V::Load(weight + i)));
  }
}

// Deviations first, so that the variance of a row far from zero does not cancel; those of the padding are zero.
template <class V>
void LayerNorm(const float* x, const float* weight, const float* bias, int64_t width, float epsilon, float* out) {
  const int64_t padded = RoundUp(width, kRowPad);
  auto even = V::Zero();
  auto odd = V::Zero();
  for (int64_t i = 0; i < padded; i += 32) {
    even = V::Add(V::Load(x + i), even);
    odd = V::Add(V::Load(x + i + 16), odd);
  }
  const auto mean = V::Broadcast(SumLanes<V>(V::Add(even, odd)) / static_cast<float>(width));
  for (int64_t i = 0; i < padded; i += 16) V::Store(out + i, V::Sub(V::Load(x + i), mean));
  for (int64_t i = width; i < padded; ++i) out[i] = 0.0F;
  even = V::Zero();
  odd = V::Zero();
  for (int64_t i = 0; i < padded; i += 32) {
    even = V::Fma(V::Load(out + i), V::Load(out + i), even);
    odd = V::Fma(V::Load(out + i + 16), V::Load(out + i + 16), odd);
  }
  const float variance = SumLanes<V>(V::Add(even, odd)) / static_cast<float>(width);
  const auto inverse = V::Broadcast(1.0F / __builtin_sqrtf(variance + epsilon));
  for (int64_t i = 0; i < padded; i += 16) {
    V::Store(out + i, V::Fma(V::Mul(V::Load(out + i), inverse), V::Load(weight + i), V::Load(bias + i)));
  }
}

// Where the blocks of an attended sequence stand, one after the other.
struct CachedBlock {
  const float* data;
  const float* next;  // the following block's, or this one's again: fetched while this one is worked on
  int64_t tokens;     // of the sequence in this block
};

template <class Visit>
inline __attribute__((always_inline)) void ForEachCached(const AttendArgs& args, const float* base, int64_t stride,
                                                         const Visit& visit) {
  int64_t left = args.tokens;
  for (const int32_t* block = args.blocks; left > 0; ++block, left -= args.block_tokens) {
    const float* data = base + *block * stride;
    visit(CachedBlock{data, left > args.block_tokens ? base + block[1] * stride : data,
                      left < args.block_tokens ? left : args.block_tokens});
  }
}

// Scaled scores of H heads, `slots` apart; slots without a token hold minus infinity. Partial sums by dimension
// modulo 4.
template <class V, int H>
void Scores(const AttendArgs& args, const float* queries, int64_t slots, float* scores) {
  const int64_t groups = RoundUp(args.block_tokens, 16) / 16;
  const auto scale = V::Broadcast(args.scale);
  ForEachCached(args, args.keys, args.key_block_stride, [&](const CachedBlock& block) {
    for (int64_t g = 0; g < groups; ++g, scores += 16) {
      const float* keys = block.data + g * args.head_dim * 16;
      const float* next = block.next + g * args.head_dim * 16;
      typename V::F partial[H][4];
      Repeat<H>([&](auto h) __attribute__((always_inline)) {
        Repeat<4>([&](auto p) __attribute__((always_inline)) { partial[h][p] = V::Zero(); });
      });
      int64_t d = 0;
      for (; d + 4 <= args.head_dim; d += 4) {
        Repeat<4>([&](auto p) __attribute__((always_inline)) {
          const auto key = V::Load(keys + (d + p) * 16);
          __builtin_prefetch(next + (d + p) * 16);
          Repeat<H>([&](auto h) __attribute__((always_inline)) {
            partial[h][p] = V::Fma(V::Broadcast(queries[h * args.head_dim + d + p]), key, partial[h][p]);
          });
        });
      }
      // At most three dimensions are left, one for each partial sum.
      Repeat<3>([&](auto p) __attribute__((always_inline)) {
        if (d + p >= args.head_dim) return;
        Repeat<H>([&](auto h) __attribute__((always_inline)) {
          const auto query = V::Broadcast(queries[h * args.head_dim + d + p]);
          partial[h][p] = V::Fma(query, V::Load(keys + (d + p) * 16), partial[h][p]);
        });
      });
      const int64_t filled = block.tokens - g * 16 < 0 ? 0 : block.tokens - g * 16;
      Repeat<H>([&](auto h) __attribute__((always_inline)) {
        const auto sum = V::Add(V::Add(partial[h][0], partial[h][1]), V::Add(partial[h][2], partial[h][3]));
        V::Store(scores + h * slots, V::Mul(sum, scale));
        for (int64_t lane = filled; lane < 16; ++lane) scores[h * slots + lane] = -__builtin_inff();
      });
    }
  });
}

// Turns scores into exponentials of their distance from the top; returns their sum.
template <class V>
float SoftmaxRow(float* scores, int64_t count) {
  auto top = V::Load(scores);
  for (int64_t i = 16; i < count; i += 16) top = V::Max(top, V::Load(scores + i));
  const auto highest = V::Broadcast(MaxLanes<V>(top));
  auto sum = V::Zero();
  for (int64_t i = 0; i < count; i += 16) {
    const auto e = Exp<V>(V::Sub(V::Load(scores + i), highest));
    V::Store(scores + i, e);
    sum = V::Add(sum, e);
  }
  return SumLanes<V>(sum);
}

// Sums of the values weighted by `weights` (H heads, `slots` apart), token by token; D vectors of 16 dimensions.
template <class V, int H, int D>
void MixValues(const AttendArgs& args, const float* weights, int64_t slots, int64_t dim, float* out) {
  typename V::F sums[H][D];
  Repeat<H>([&](auto h) __attribute__((always_inline)) {
    Repeat<D>([&](auto d) __attribute__((always_inline)) { sums[h][d] = V::Zero(); });
  });
  const int64_t block_slots = RoundUp(args.block_tokens, 16);
  ForEachCached(args, args.values + dim, args.value_block_stride, [&](const CachedBlock& block) {
    for (int64_t t = 0; t < block.tokens; ++t) {
      const float* values = block.data + t * args.value_stride;
      Repeat<D>([&](auto d) __attribute__((always_inline)) {
        const auto value = V::Load(values + 16 * d);
        __builtin_prefetch(block.next + t * args.value_stride + 16 * d);
        Repeat<H>([&](auto h) __attribute__((always_inline)) {
          sums[h][d] = V::Fma(V::Broadcast(weights[h * slots + t]), value, sums[h][d]);
        });
      });
    }
    weights += block_slots;
  });
  Repeat<H>([&](auto h) __attribute__((always_inline)) {
    Repeat<D>([&](auto d)
                  __attribute__((always_inline)) { V::Store(out + h * args.value_stride + dim + 16 * d, sums[h][d]); });
  });
}

// H heads together, so that keys and values are read once for them.
template <class V, int H>
void AttendHeads(const AttendArgs& args, int64_t head) {
  const int64_t slots = AttendScores(args.tokens, args.block_tokens);
  Scores<V, H>(args, args.queries + head * args.head_dim, slots, args.scores);
  float sums[H];
  for (int h = 0; h < H; ++h) sums[h] = SoftmaxRow<V>(args.scores + h * slots, slots);
  int64_t dim = 0;
  for (; dim + 64 <= args.value_stride; dim += 64) MixValues<V, H, 4>(args, args.scores, slots, dim, args.mixed);
  for (; dim < args.value_stride; dim += 16) MixValues<V, H, 1>(args, args.scores, slots, dim, args.mixed);
  for (int h = 0; h < H; ++h) {
    float* out = args.out + (head + h) * args.head_dim;
    const float* mixed = args.mixed + h * args.value_stride;
    for (int64_t d = 0; d < args.head_dim; ++d) out[d] = mixed[d] / sums[h];
  }
}

template <class V>
void Attend(const AttendArgs& args) {
  int64_t head = 0;
  if constexpr (V::kHeadsTogether > 1) {
    for (; head + 4 <= args.heads; head += 4) AttendHeads<V, 4>(args, head);
    for (; head + 3 <= args.heads; head += 3) AttendHeads<V, 3>(args, head);
    for (; head + 2 <= args.heads; head += 2) AttendHeads<V, 2>(args, head);
  }
  for (; head < args.heads; ++head) AttendHeads<V, 1>(args, head);
}

}  // namespace
}  // namespace gwq
