// Round to nearest: every group by its own minimum and maximum.

#include "core/quant/quantizers.h"

namespace gwq {
namespace {

class RtnQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kRtn; }
  [[nodiscard]] Needs needs(const Recipe& recipe, int64_t outliers) const override;
  [[nodiscard]] bool Takes(TensorKind kind) const override;
  [[nodiscard]] double DefaultOutlierRatio(const Recipe& recipe) const override;
  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override;
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe& recipe) const override;
  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                         const QuantizeTools& tools) const override;
};

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

}  // namespace

const Quantizer& RtnMethod() {
  static const RtnQuantizer method;
  return method;
}

}  // namespace gwq
