// GPTQ (arXiv 2210.17323): columns one by one, each error compensated by the columns that follow.
#pragma once

#include "core/quant/quantizer.h"

namespace gwq {

class GptqQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kGptq; }
  [[nodiscard]] Needs needs(const Recipe& recipe, int64_t outliers) const override;
  [[nodiscard]] bool Takes(TensorKind kind) const override;
  [[nodiscard]] double DefaultOutlierRatio(const Recipe& recipe) const override;
  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override;
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe& recipe) const override;
  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                         const QuantizeTools& tools) const override;
};

}  // namespace gwq
