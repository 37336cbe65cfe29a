// SpQR (arXiv 2306.03078): GPTQ with the weights whose rounding costs the most output error kept in FP16.
//
// The outliers are the OutlierCount weights with the largest |w - w'| / sqrt((G^-1)_jj) of the whole matrix, of equal
// ones the lower position: w' is what method rtn makes of w, and G the damped Gram matrix of CompensationFactor. The
// paper leaves each weight out of its group's range in turn instead, and marks by a threshold. The rest is
// CompensateColumns, in which an outlier's value is FP16 of the weight as compensated so far.
#pragma once

#include "core/quant/quantizer.h"

namespace gwq {

class SpqrQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kSpqr; }
  [[nodiscard]] Needs needs(const Recipe& recipe, int64_t outliers) const override;
  [[nodiscard]] bool Takes(TensorKind kind) const override;
  [[nodiscard]] double DefaultOutlierRatio(const Recipe& recipe) const override;
  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override;
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe& recipe) const override;
  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                         const QuantizeTools& tools) const override;
};

}  // namespace gwq
