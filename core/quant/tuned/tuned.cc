// "tuned": the codes and scales of a block learned together, so that the block's output on the quantized model's hidden
// states comes close to the full-precision block's on its own (docs/method.md). Its second part, which tunes the scales
// of all blocks by the model's output, is not of one block: core/quant/job/model_tuning.h.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/draw.h"
#include "core/base/shuffle.h"
#include "core/base/status.h"
#include "core/quant/outliers.h"
#include "core/quant/quantizers.h"
#include "core/quant/tuned/learned_matrix.h"

namespace gwq {
namespace {

// Samples that the loss before and after is measured on.
constexpr size_t kMeasured = 4;

class BlockLearning {
 public:
  BlockLearning(BlockObjective& objective, std::vector<LearnedMatrix>& matrices, const QuantizeTools& tools,
                Progress& progress)
      : objective_(objective), matrices_(matrices), tools_(tools), progress_(progress) {}

  absl::StatusOr<BlockLosses> Run(int steps, uint64_t seed) {
    GWQ_ASSIGN_OR_RETURN(const double before, MeanLoss());
    const size_t samples = objective_.samples();
    const uint64_t own = Draw(seed, static_cast<uint64_t>(objective_.stage()));
    std::vector<size_t> order;
    const LearningRates first = BlockRates(steps);
    for (int step = 0; step < steps; ++step) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      const size_t at = static_cast<size_t>(step) % samples;
      if (at == 0) order = Shuffled(samples, Draw(own, static_cast<uint64_t>(step)));
      const float share = 1.0F - static_cast<float>(step) / static_cast<float>(steps);
      GWQ_RETURN_IF_ERROR(Step(order[at], {first.code * share, first.scale * share, first.outlier * share}));
    }
    GWQ_ASSIGN_OR_RETURN(const double after, MeanLoss());
    progress_.Log(fmt::format("stage {}: loss of the output {:.3g} -> {:.3g}", objective_.stage(), before, after));
    return BlockLosses{before, after};
  }

 private:
  absl::Status SetValues() {
    for (size_t i = 0; i < matrices_.size(); ++i) {
      values_.resize(matrices_[i].size());
      matrices_[i].Values(tools_.pool, values_);
      GWQ_RETURN_IF_ERROR(objective_.SetValues(i, values_));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<double> MeanLoss() {
    GWQ_RETURN_IF_ERROR(SetValues());
    const size_t count = std::min(kMeasured, objective_.samples());
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const double loss, objective_.Loss(i * objective_.samples() / count));
      sum += loss / static_cast<double>(count);
    }
    return sum;
  }

  absl::Status Step(size_t sample, const LearningRates& rates) {
    GWQ_RETURN_IF_ERROR(SetValues());
    GWQ_RETURN_IF_ERROR(objective_.LossBackward(sample).status());
    for (size_t i = 0; i < matrices_.size(); ++i) {
      GWQ_ASSIGN_OR_RETURN(const std::span<const float> gradient, objective_.Gradient(i));
      matrices_[i].Step(gradient, rates, tools_.pool);
    }
    objective_.DropGradients();
    return absl::OkStatus();
  }

  BlockObjective& objective_;
  std::vector<LearnedMatrix>& matrices_;
  const QuantizeTools& tools_;
  Progress& progress_;
  std::vector<float> values_;
};

class TunedQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kTuned; }
  [[nodiscard]] Needs needs(const Recipe&, int64_t) const override { return Needs::kBlock; }
  [[nodiscard]] bool Takes(TensorKind kind) const override { return kind == TensorKind::kLinear; }
  [[nodiscard]] double DefaultOutlierRatio(const Recipe& recipe) const override { return recipe.tuned.outlier_ratio; }

  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override {
    PackedShape shape = request.shape;
    shape.outliers = OutlierCount(request.outlier_ratio, shape.rows * shape.cols);
    return shape;
  }

  // What is learned, and either the outliers' scores, as they are and sorted, or the codes.
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe&) const override {
    const auto weights = static_cast<uint64_t>(shape.rows * shape.cols);
    return LearnedMatrix::Bytes(shape) + weights * (shape.outliers > 0 ? 9 : 1) +
           static_cast<uint64_t>(shape.outliers) * 24;
  }

  // The start: nothing is learned of a matrix by itself.
  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe&,
                                                         const QuantizeTools& tools) const override {
    GWQ_ASSIGN_OR_RETURN(const LearnedMatrix start, LearnedMatrix::Start(input, tools.pool));
    return Finished(start, input, tools.pool);
  }

  [[nodiscard]] absl::StatusOr<std::vector<QuantizedMatrix>> QuantizeBlock(std::span<const MatrixInput> matrices,
                                                                           BlockObjective& objective,
                                                                           const Recipe& recipe,
                                                                           const QuantizeTools& tools,
                                                                           Progress& progress) const override {
    GWQ_ASSIGN_OR_RETURN(std::vector<LearnedMatrix> learned, Starts(matrices, tools, progress));
    if (recipe.tuned.block_steps > 0 && objective.samples() > 0) {
      GWQ_ASSIGN_OR_RETURN(
          BlockLosses losses,
          BlockLearning(objective, learned, tools, progress).Run(recipe.tuned.block_steps, recipe.seed));
      if (losses.after > losses.before) {
        progress.Log(fmt::format("stage {}: learning made it worse, the start is kept", objective.stage()));
        losses.after = losses.before;
        GWQ_ASSIGN_OR_RETURN(learned, Starts(matrices, tools, progress));
      }
      objective.TellLosses(losses);
    }
    std::vector<QuantizedMatrix> out;
    for (size_t i = 0; i < matrices.size(); ++i) out.push_back(Finished(learned[i], matrices[i], tools.pool));
    return out;
  }

 private:
  static absl::StatusOr<std::vector<LearnedMatrix>> Starts(std::span<const MatrixInput> matrices,
                                                           const QuantizeTools& tools, Progress& progress) {
    std::vector<LearnedMatrix> out;
    for (const MatrixInput& input : matrices) {
      GWQ_RETURN_IF_ERROR(progress.Check());
      GWQ_ASSIGN_OR_RETURN(LearnedMatrix start, LearnedMatrix::Start(input, tools.pool));
      out.push_back(std::move(start));
    }
    return out;
  }

  static QuantizedMatrix Finished(const LearnedMatrix& learned, const MatrixInput& input, ThreadPool& pool) {
    QuantizedMatrix made = learned.Finish(pool);
    MeasureErrors(input.weights, input.gradient, pool, made);
    return made;
  }
};

}  // namespace

const Quantizer& TunedMethod() {
  static const TunedQuantizer method;
  return method;
}

}  // namespace gwq
