#include "core/backend/cpu/kernels/matmul.h"
#include "core/backend/cpu/kernels/rows.h"
#include "core/backend/cpu/kernels/simd_scalar.h"

namespace gwq {

const Kernels& ScalarKernels() {
  static constexpr Kernels kKernels = {MatMul<ScalarSimd>,   TransposeChunk,      BlockSums,
                                       RmsNorm<ScalarSimd>,  GateRow<ScalarSimd>, Attend<ScalarSimd>,
                                       LayerNorm<ScalarSimd>};
  return kKernels;
}

}  // namespace gwq
