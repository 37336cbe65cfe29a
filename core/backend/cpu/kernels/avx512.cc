#include "core/backend/cpu/kernels/matmul.h"
#include "core/backend/cpu/kernels/rows.h"
#include "core/backend/cpu/kernels/simd_avx512.h"

namespace gwq {

const Kernels& Avx512Kernels() {
  static constexpr Kernels kKernels = {MatMul<Avx512Simd>,   TransposeChunk,      BlockSums,
                                       RmsNorm<Avx512Simd>,  GateRow<Avx512Simd>, Attend<Avx512Simd>,
                                       LayerNorm<Avx512Simd>};
  return kKernels;
}

}  // namespace gwq
