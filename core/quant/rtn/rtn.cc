// Round to nearest: every group by its own minimum and maximum.

#include "core/quant/quantizers.h"

namespace gwq {
namespace {

class RtnQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kRtn; }
  [[nodiscard]] Needs needs(const Recipe&, int64_t) const override { return Needs::kNothing; }
  [[nodiscard]] bool Takes(TensorKind) const override { return true; }
  [[nodiscard]] double DefaultOutlierRatio(const Recipe&) const override { return 0; }
  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override { return request.shape; }
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe&) const override {
    return static_cast<uint64_t>(shape.rows * shape.cols);  // codes
  }

  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe&,
                                                         const QuantizeTools& tools) const override {
    return QuantizeMatrix(input.weights, input.shape, {}, input.gradient, input.tensor, tools.pool);
  }
};

}  // namespace

const Quantizer& RtnMethod() {
  static const RtnQuantizer method;
  return method;
}

}  // namespace gwq
