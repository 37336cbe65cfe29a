#include "core/backend/cpu/kernels_matmul.h"
#include "core/backend/cpu/kernels_rows.h"
#include "core/backend/cpu/simd_avx512.h"

namespace gwq {

const Kernels& Avx512Kernels() {
  static constexpr Kernels kKernels = {MatMul<Avx512Simd>,   TransposeChunk,      BlockSums,
                                       RmsNorm<Avx512Simd>,  GateRow<Avx512Simd>, Attend<Avx512Simd>,
                                       LayerNorm<Avx512Simd>};
  return kKernels;
}

}  // namespace gwq
