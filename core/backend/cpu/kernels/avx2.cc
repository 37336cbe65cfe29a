#include "core/backend/cpu/kernels/matmul.h"
#include "core/backend/cpu/kernels/rows.h"
#include "core/backend/cpu/kernels/simd_avx2.h"

namespace gwq {

const Kernels& Avx2Kernels() {
  static constexpr Kernels kKernels = {MatMul<Avx2Simd>,  TransposeChunk,   BlockSums,          RmsNorm<Avx2Simd>,
                                       GateRow<Avx2Simd>, Attend<Avx2Simd>, LayerNorm<Avx2Simd>};
  return kKernels;
}

}  // namespace gwq
