// Loops that are unrolled before arrays indexed by them are put in registers. See matmul.h for why all is
// internal.
#pragma once

#include <utility>

namespace gwq {
namespace {

template <int J>
using Index = std::integral_constant<int, J>;

// Calls body(Index<0>()) to body(Index<N - 1>()).
template <int N, class Body>
inline __attribute__((always_inline)) void Repeat(const Body& body) {
  [&]<int... I>(std::integer_sequence<int, I...>)
      __attribute__((always_inline)) { (body(Index<I>()), ...); }(std::make_integer_sequence<int, N>());
}

}  // namespace
}  // namespace gwq
