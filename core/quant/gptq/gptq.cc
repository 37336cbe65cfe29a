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
  [[nodiscard]] Needs needs(const Recipe&, int64_t) const override { return Needs::kGram; }

  // The inputs of a head or an embedding are not walked.
  [[nodiscard]] bool Takes(TensorKind kind) const override { return kind == TensorKind::kLinear; }

  [[nodiscard]] double DefaultOutlierRatio(const Recipe&) const override { return 0; }

  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override { return request.shape; }

  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe&) const override {
    return CompensationBytes(shape);
  }

  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                         const QuantizeTools& tools) const override {
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
};

}  // namespace

const Quantizer& GptqMethod() {
  static const GptqQuantizer method;
  return method;
}

}  // namespace gwq
