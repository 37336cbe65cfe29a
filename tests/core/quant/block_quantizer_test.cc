// Every method that makes a whole block at once, held to the contract of core/quant/quantizer.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/base/progress.h"
#include "core/format/format.h"
#include "tests/core/backend/naive_solver.h"
#include "tests/core/quant/linear_block.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::LinearBlock;
using testing::NaiveSolver;
using testing::PlannedShape;
using testing::QuantizerCase;

// Asks to stop at the check number `at`.
class StopsAt final : public Progress {
 public:
  explicit StopsAt(int at) : at_(at) {}
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view) override {}
  absl::Status Check() override { return checks++ == at_ ? absl::CancelledError("stop") : absl::OkStatus(); }
  int checks = 0;

 private:
  const int at_;
};

std::vector<float> Dequantized(const QuantizedMatrix& made) {
  const auto bytes = EncodePacked(made.content);
  EXPECT_THAT(bytes, IsOk());
  const auto view = PackedView::Open(*bytes);
  EXPECT_THAT(view, IsOk());
  EXPECT_EQ(bytes->size(), LayoutOf(made.content.shape).total);
  std::vector<float> out(made.content.codes.size());
  view->DequantizeAll(out);
  return out;
}

bool SameContent(const PackedContent& a, const PackedContent& b) {
  return a.shape == b.shape && a.codes == b.codes && a.scales == b.scales && a.scale_codes == b.scale_codes &&
         a.row_scales == b.row_scales && a.zeros == b.zeros && a.outlier_positions == b.outlier_positions &&
         a.outlier_values == b.outlier_values;
}

class BlockConformance : public ::testing::TestWithParam<QuantizerCase> {
 protected:
  [[nodiscard]] const Quantizer& quantizer() const { return *FindQuantizer(GetParam().method); }
  [[nodiscard]] const Recipe& recipe() const { return GetParam().recipe; }
  [[nodiscard]] LinearBlock Block(int bits = 3, double outliers = 0, bool coded = false) const {
    std::vector<PackedShape> shapes = {{24, 80, bits, 32, 0}, {9, 50, bits, 16, 0}};
    for (PackedShape& shape : shapes) {
      if (coded) shape.format = &kAffine2;
      if (coded) shape.scale_bits = 8;
      shape = PlannedShape(quantizer(), shape, outliers);
    }
    return {shapes, 6, 21};
  }
  absl::StatusOr<std::vector<QuantizedMatrix>> Make(LinearBlock& block, int threads = 2,
                                                    Progress& progress = NoProgress()) {
    ThreadPool pool(threads);
    return quantizer().QuantizeBlock(block.Inputs(), block, recipe(), {pool, &solver_}, progress);
  }
  // The loss of the block with what was made, as it is stored.
  static double LossOf(LinearBlock& block, const std::vector<QuantizedMatrix>& made) {
    for (size_t i = 0; i < made.size(); ++i) EXPECT_THAT(block.SetValues(i, Dequantized(made[i])), IsOk());
    return block.MeanLoss();
  }

  NaiveSolver solver_;
};

TEST_P(BlockConformance, LosesFarLessThanItsStart) {
  for (const bool coded : {false, true}) {
    for (const double outliers : {0.0, 0.02}) {
      for (const int bits : {2, 3, 4}) {
        SCOPED_TRACE(fmt::format("{} bits, outliers {}, coded scales {}", bits, outliers, coded));
        LinearBlock block = Block(bits, outliers, coded);
        const auto made = Make(block);
        ASSERT_THAT(made, IsOk());
        const double learned = LossOf(block, *made);
        std::vector<QuantizedMatrix> start;
        ThreadPool pool(1);
        for (const MatrixInput& input : block.Inputs()) {
          auto one = quantizer().Quantize(input, recipe(), {pool, &solver_});
          ASSERT_THAT(one, IsOk());
          start.push_back(*std::move(one));
        }
        EXPECT_LT(learned, 0.5 * LossOf(block, start));
      }
    }
  }
}

TEST_P(BlockConformance, MakesTheSameContentTwiceAndWithAnyTeam) {
  LinearBlock block = Block(3, 0.02);
  const auto first = Make(block, 1);
  ASSERT_THAT(first, IsOk());
  for (const int threads : {1, 2, 3}) {
    LinearBlock again = Block(3, 0.02);
    const auto made = Make(again, threads);
    ASSERT_THAT(made, IsOk());
    ASSERT_EQ(made->size(), first->size());
    for (size_t i = 0; i < made->size(); ++i) {
      EXPECT_TRUE(SameContent((*made)[i].content, (*first)[i].content)) << threads << " threads, matrix " << i;
    }
  }
}

TEST_P(BlockConformance, MeasuresItsErrorsOnWhatIsStored) {
  LinearBlock block = Block();
  const auto made = Make(block);
  ASSERT_THAT(made, IsOk());
  for (size_t i = 0; i < made->size(); ++i) {
    const std::vector<float> stored = Dequantized((*made)[i]);
    double error = 0;
    for (size_t k = 0; k < stored.size(); ++k) error += std::pow(block.weights(i)[k] - stored[k], 2);
    EXPECT_NEAR((*made)[i].error, error, 1e-6 * (*made)[i].norm);
  }
}

TEST_P(BlockConformance, EndsWhereItIsAskedToStop) {
  StopsAt counting(-1);
  LinearBlock whole = Block();
  ASSERT_THAT(Make(whole, 1, counting), IsOk());
  ASSERT_GT(counting.checks, 10);
  for (const int at : {0, counting.checks / 2, counting.checks - 1}) {
    StopsAt stop(at);
    LinearBlock block = Block();
    EXPECT_THAT(Make(block, 1, stop), HasCode(absl::StatusCode::kCancelled));
    EXPECT_LE(block.passes, at) << "nothing runs after it";
  }
}

TEST_P(BlockConformance, RefusesAWeightThatIsNotFinite) {
  LinearBlock block = Block();
  block.weights(1)[4 * 50 + 17] = std::numeric_limits<float>::quiet_NaN();
  const auto made = Make(block);
  EXPECT_THAT(made, HasCode(absl::StatusCode::kFailedPrecondition));
  for (const char* part : {"model.some.weight", "row 4", "column 17"}) {
    EXPECT_THAT(std::string(made.status().message()), ::testing::HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, BlockConformance, ::testing::ValuesIn(testing::QuantizerCasesThatNeed(Needs::kBlock)),
                         [](const auto& info) { return info.param.name; });

TEST(Quantizers, AMethodOfOneMatrixMakesNoBlock) {
  LinearBlock block({{4, 16, 4, 16, 0}}, 1, 1);
  ThreadPool pool(1);
  EXPECT_THAT(FindQuantizer(Method::kRtn)->QuantizeBlock(block.Inputs(), block, {}, {pool, nullptr}, NoProgress()),
              HasCode(absl::StatusCode::kInternal));
}

// Its gradients lead uphill.
class Uphill final : public BlockObjective {
 public:
  explicit Uphill(LinearBlock& block) : block_(block) {}
  [[nodiscard]] int stage() const override { return block_.stage(); }
  [[nodiscard]] size_t samples() const override { return block_.samples(); }
  [[nodiscard]] absl::Status SetValues(size_t matrix, std::span<const float> values) override {
    return block_.SetValues(matrix, values);
  }
  [[nodiscard]] absl::StatusOr<double> Loss(size_t sample) override { return block_.Loss(sample); }
  [[nodiscard]] absl::StatusOr<double> LossBackward(size_t sample) override { return block_.LossBackward(sample); }
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gradient(size_t matrix) const override {
    const auto gradient = block_.Gradient(matrix);
    if (!gradient.ok()) return gradient;
    turned_.assign(gradient->begin(), gradient->end());
    for (float& value : turned_) value = -value;
    return turned_;
  }
  void DropGradients() override { block_.DropGradients(); }

 private:
  LinearBlock& block_;
  mutable std::vector<float> turned_;
};

TEST(Tuned, KeepsItsStartWhereLearningMadeItWorse) {
  const Quantizer& tuned = *FindQuantizer(Method::kTuned);
  LinearBlock block({PlannedShape(tuned, {8, 48, 3, 16, 0}, 0)}, 4, 1);
  Uphill uphill(block);
  NaiveSolver solver;
  ThreadPool pool(1);
  Recipe recipe;
  recipe.method = Method::kTuned;
  const auto made = tuned.QuantizeBlock(block.Inputs(), uphill, recipe, {pool, &solver}, NoProgress());
  ASSERT_THAT(made, IsOk());
  const auto start = tuned.Quantize(block.Inputs()[0], recipe, {pool, &solver});
  ASSERT_THAT(start, IsOk());
  EXPECT_EQ((*made)[0].content.codes, start->content.codes);
  ASSERT_TRUE(uphill.losses().has_value());
  EXPECT_EQ(uphill.losses()->after, uphill.losses()->before);
}

TEST(Tuned, RefusesInputsThatAreNotFinite) {
  LinearBlock block({{4, 16, 4, 16, 0}}, 1, 1);
  std::vector<MatrixInput> inputs = block.Inputs();
  std::vector<float> squares(inputs[0].squares.begin(), inputs[0].squares.end());
  squares[7] = std::numeric_limits<float>::infinity();
  inputs[0].squares = squares;
  ThreadPool pool(1);
  const auto made = FindQuantizer(Method::kTuned)->QuantizeBlock(inputs, block, {}, {pool, nullptr}, NoProgress());
  EXPECT_THAT(made, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(made.status().message()), ::testing::HasSubstr("column 7"));
}

}  // namespace
}  // namespace gwq
