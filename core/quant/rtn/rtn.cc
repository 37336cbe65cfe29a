#include "core/quant/rtn/rtn.h"

namespace gwq {

Needs RtnQuantizer::needs(const Recipe&, int64_t) const { return Needs::kNothing; }
bool RtnQuantizer::Takes(TensorKind) const { return true; }
double RtnQuantizer::DefaultOutlierRatio(const Recipe&) const { return 0; }
PackedShape RtnQuantizer::Plan(const MatrixRequest& request) const { return request.shape; }
uint64_t RtnQuantizer::Memory(const PackedShape& shape, const Recipe&) const {
  return static_cast<uint64_t>(shape.rows * shape.cols);  // codes
}

absl::StatusOr<QuantizedMatrix> RtnQuantizer::Quantize(const MatrixInput& input, const Recipe&,
                                                       const QuantizeTools& tools) const {
  return QuantizeMatrix(input.weights, input.shape, {}, input.gradient, input.tensor, tools.pool);
}

}  // namespace gwq
