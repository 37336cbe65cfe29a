// GPTQ (arXiv 2210.17323): columns one by one, each error compensated by the columns that follow.
#include <vector>

#include "core/base/status.h"
#include "core/quant/gptq/columns.h"
#include "core/quant/gptq/factor.h"
#include "core/quant/quantizers.h"

namespace gwq {
namespace {

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

Needs GptqQuantizer::needs(const Recipe&, int64_t) const { return Needs::kGram; }

// The inputs of a head or an embedding are not walked.
bool GptqQuantizer::Takes(TensorKind kind) const { return kind == TensorKind::kLinear; }

double GptqQuantizer::DefaultOutlierRatio(const Recipe&) const { return 0; }

PackedShape GptqQuantizer::Plan(const MatrixRequest& request) const { return request.shape; }

uint64_t GptqQuantizer::Memory(const PackedShape& shape, const Recipe&) const { return CompensationBytes(shape); }

absl::StatusOr<QuantizedMatrix> GptqQuantizer::Quantize(const MatrixInput& input, const Recipe& recipe,
                                                        const QuantizeTools& tools) const {
  if (absl::Status s = CheckFinite(input.weights, input.shape.cols, input.tensor, tools.pool); !s.ok()) return s;
  const GptqOptions& options = recipe.gptq;
  std::vector<int32_t> order;
  if (options.act_order) order = ActivationOrder(input.gram, input.shape.cols);
  GWQ_ASSIGN_OR_RETURN(
      const std::vector<float> factor,
      CompensationFactor(input.gram, input.shape.cols, options.damping, order, input.tensor, *tools.solver));
  QuantizedMatrix made =
      CompensateColumns({input.weights, input.shape, factor, order, {}, options.range_search}, tools.pool);
  MeasureErrors(input.weights, input.gradient, tools.pool, made);
  return made;
}

}  // namespace

const Quantizer& GptqMethod() {
  static const GptqQuantizer method;
  return method;
}

}  // namespace gwq
