// Every method of quantization, held to the contract of core/quant/quantizer.h.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/format/format.h"
#include "core/format/packed_matrix.h"
#include "tests/core/backend/naive_solver.h"
#include "tests/core/quant/quantizer_conformance.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::NaiveSolver;
using testing::PlannedShape;
using testing::QuantizerCase;
using testing::RandomMatrix;

constexpr float kInfinite = std::numeric_limits<float>::infinity();
constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();

// One column, groups longer than a row, last groups that are shorter, more rows than are taken at a time.
constexpr PackedShape kShapes[] = {{1, 1, 4, 8, 0},     {1, 8, 2, 8, 0},     {3, 9, 3, 8, 0},
                                   {5, 24, 8, 16, 0},   {40, 96, 4, 64, 0},  {65, 32, 3, 8, 0},
                                   {2, 130, 2, 136, 0}, {7, 150, 4, 144, 0}, {33, 83, 8, 32, 0}};
constexpr double kRatios[] = {0, 0.01, 0.5};

// The same in version 2 of the format, with scales of 8 bits.
PackedShape WithCodedScales(PackedShape shape) {
  shape.format = &kAffine2;
  shape.scale_bits = 8;
  return shape;
}

bool SameContent(const PackedContent& a, const PackedContent& b) {
  return a.shape == b.shape && a.codes == b.codes && a.scales == b.scales && a.scale_codes == b.scale_codes &&
         a.row_scales == b.row_scales && a.zeros == b.zeros && a.outlier_positions == b.outlier_positions &&
         a.outlier_values == b.outlier_values;
}

// As it comes back from the stored bytes.
std::vector<float> Dequantized(const PackedContent& content) {
  const auto bytes = EncodePacked(content);
  EXPECT_THAT(bytes, IsOk());
  if (!bytes.ok()) return {};
  const auto view = PackedView::Open(*bytes);
  EXPECT_THAT(view, IsOk());
  std::vector<float> out(content.codes.size());
  if (view.ok()) view->DequantizeAll(out);
  return out;
}

class QuantizerConformance : public ::testing::TestWithParam<QuantizerCase> {
 protected:
  [[nodiscard]] const Quantizer& quantizer() const { return *FindQuantizer(GetParam().method); }
  [[nodiscard]] const Recipe& recipe() const { return GetParam().recipe; }

  absl::StatusOr<QuantizedMatrix> Quantize(const RandomMatrix& matrix, const PackedShape& shape, int threads = 2) {
    return Quantize(matrix.InputFor(quantizer(), recipe(), shape), threads);
  }
  absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, int threads = 2) {
    ThreadPool pool(threads);
    return quantizer().Quantize(input, recipe(), {pool, &solver_});
  }

  // Calls body(shape as planned, a matrix of it) for many.
  template <class Body>
  void ForManyShapes(Body&& body) {
    for (const PackedShape& shape : kShapes) {
      const RandomMatrix matrix(shape.rows, shape.cols, 3);
      for (const double ratio : kRatios) {
        SCOPED_TRACE(fmt::format("{} x {}, {} bits, groups of {}, outliers {}", shape.rows, shape.cols, shape.bits,
                                 shape.group_size, ratio));
        for (const PackedShape& form : {shape, WithCodedScales(shape)}) {
          body(PlannedShape(quantizer(), form, ratio), matrix);
        }
      }
    }
  }

  // Expects FAILED_PRECONDITION that names all of `parts`.
  static void ExpectNames(const absl::StatusOr<QuantizedMatrix>& made, const std::vector<std::string>& parts) {
    EXPECT_THAT(made, HasCode(absl::StatusCode::kFailedPrecondition));
    for (const std::string& part : parts) {
      EXPECT_THAT(std::string(made.status().message()), ::testing::HasSubstr(part));
    }
  }

  NaiveSolver solver_;
};

// Methods with these needs alone.
class GradientConformance : public QuantizerConformance {};
class GramConformance : public QuantizerConformance {};

TEST_P(QuantizerConformance, IsFoundByItsName) { EXPECT_EQ(quantizer().method(), GetParam().method); }

TEST_P(QuantizerConformance, TakesLinearMatrices) { EXPECT_TRUE(quantizer().Takes(TensorKind::kLinear)); }

TEST_P(QuantizerConformance, PlansTheShapeThatItIsAskedForApartFromOutliers) {
  for (const PackedShape& shape : kShapes) {
    PackedShape planned = PlannedShape(quantizer(), shape, 0.5);
    EXPECT_THAT(CheckPackedShape(planned), IsOk());
    planned.outliers = 0;
    EXPECT_EQ(planned, shape);
  }
}

TEST_P(QuantizerConformance, PlansTheOutliersOfItsDefaultShare) {
  const double ratio = quantizer().DefaultOutlierRatio(recipe());
  EXPECT_GE(ratio, 0);
  EXPECT_LE(ratio, 0.5);
  EXPECT_EQ(PlannedShape(quantizer(), {40, 96, 4, 64, 0}, ratio).outliers, static_cast<int64_t>(ratio * 40 * 96));
}

TEST_P(QuantizerConformance, MakesTheSameContentTwiceAndWithAnyTeam) {
  ForManyShapes([&](const PackedShape& shape, const RandomMatrix& matrix) {
    const auto first = Quantize(matrix, shape, 1);
    ASSERT_THAT(first, IsOk());
    for (const int threads : {1, 2, 3}) {
      const auto again = Quantize(matrix, shape, threads);
      ASSERT_THAT(again, IsOk());
      EXPECT_TRUE(SameContent(again->content, first->content)) << threads << " threads";
      EXPECT_EQ(again->error, first->error) << threads << " threads";
      EXPECT_EQ(again->weighted_error, first->weighted_error) << threads << " threads";
      EXPECT_EQ(again->saturated, first->saturated) << threads << " threads";
    }
  });
}

TEST_P(QuantizerConformance, TakesTheBytesThatItsPlanTells) {
  ForManyShapes([&](const PackedShape& shape, const RandomMatrix& matrix) {
    const auto made = Quantize(matrix, shape);
    ASSERT_THAT(made, IsOk());
    EXPECT_EQ(made->content.shape, shape);
    const auto bytes = EncodePacked(made->content);
    ASSERT_THAT(bytes, IsOk());
    EXPECT_EQ(bytes->size(), LayoutOf(shape).total);
  });
}

TEST_P(QuantizerConformance, MeasuresItsErrorsOnWhatIsStored) {
  ForManyShapes([&](const PackedShape& shape, const RandomMatrix& matrix) {
    const MatrixInput input = matrix.InputFor(quantizer(), recipe(), shape);
    const auto made = Quantize(input);
    ASSERT_THAT(made, IsOk());
    const std::vector<float> stored = Dequantized(made->content);
    double error = 0, norm = 0, weighted_error = 0, weighted_norm = 0;
    for (size_t i = 0; i < stored.size(); ++i) {
      const double weight = matrix.weights[i], gradient = input.gradient.empty() ? 0 : input.gradient[i];
      error += std::pow(weight - stored[i], 2);
      norm += std::pow(weight, 2);
      weighted_error += std::pow(gradient * (weight - stored[i]), 2);
      weighted_norm += std::pow(gradient * weight, 2);
    }
    EXPECT_NEAR(made->error, error, 1e-6 * norm);
    EXPECT_NEAR(made->norm, norm, 1e-6 * norm);
    EXPECT_NEAR(made->weighted_error, weighted_error, 1e-6 * weighted_norm);
    EXPECT_NEAR(made->weighted_norm, weighted_norm, 1e-6 * weighted_norm);
    EXPECT_EQ(made->saturated, 0);
  });
}

TEST_P(QuantizerConformance, LosesLittleWithEightBits) {
  const PackedShape shape = PlannedShape(quantizer(), {40, 96, 8, 32, 0}, 0.01);
  const auto made = Quantize(RandomMatrix(40, 96, 6), shape);
  ASSERT_THAT(made, IsOk());
  EXPECT_LE(made->error, 1e-3 * made->norm);
}

TEST_P(QuantizerConformance, ReadsHalfPrecisionAsTheSameValues) {
  const PackedShape shape = PlannedShape(quantizer(), {12, 40, 4, 16, 0}, 0.05);
  RandomMatrix matrix(12, 40, 7);
  std::vector<uint16_t> halves, brains;
  for (float& weight : matrix.weights) {
    // Eight bits of fraction at a size that both types hold.
    weight = std::round(weight * 512) / 512;
    weight = std::bit_cast<float>(std::bit_cast<uint32_t>(weight) & 0xFFFF0000U);
    halves.push_back(FloatToHalf(weight));
    brains.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(weight) >> 16));
  }
  const auto single = Quantize(matrix, shape);
  ASSERT_THAT(single, IsOk());
  MatrixInput input = matrix.InputFor(quantizer(), recipe(), shape);
  for (const auto& [type, values] : {std::pair(DType::kF16, &halves), std::pair(DType::kBF16, &brains)}) {
    input.weights = {type, {12, 40}, std::as_bytes(std::span(*values))};
    const auto made = Quantize(input);
    ASSERT_THAT(made, IsOk());
    EXPECT_TRUE(SameContent(made->content, single->content)) << DTypeName(type);
  }
}

TEST_P(QuantizerConformance, StoresZerosAsZeros) {
  RandomMatrix matrix(6, 40, 8);
  std::ranges::fill(matrix.weights, 0.0F);
  const auto made = Quantize(matrix, PlannedShape(quantizer(), {6, 40, 3, 16, 0}, 0.05));
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(Dequantized(made->content), ::testing::Each(0.0F));
}

TEST_P(QuantizerConformance, StaysFiniteWhereFp16CannotHoldTheWeights) {
  const PackedShape shape = PlannedShape(quantizer(), {6, 40, 4, 16, 0}, 0.05);
  for (const float huge : {5e6F, 1e30F, std::numeric_limits<float>::max()}) {
    SCOPED_TRACE(huge);
    RandomMatrix matrix(6, 40, 13);
    matrix.weights[2 * 40 + 3] = huge;
    matrix.weights[2 * 40 + 4] = -huge;
    const auto made = Quantize(matrix, shape);
    ASSERT_THAT(made, IsOk());
    EXPECT_GE(made->saturated, 1);
    for (const float value : Dequantized(made->content)) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST_P(QuantizerConformance, RefusesAWeightThatIsNotFinite) {
  const PackedShape shape = PlannedShape(quantizer(), {6, 40, 4, 16, 0}, 0.05);
  for (const float bad : {kNotANumber, kInfinite, -kInfinite}) {
    RandomMatrix matrix(6, 40, 9);
    matrix.weights[4 * 40 + 17] = bad;
    ExpectNames(Quantize(matrix, shape), {"model.some.weight", "row 4", "column 17"});
  }
}

TEST_P(GradientConformance, RefusesAGradientThatIsNotFinite) {
  const PackedShape shape = PlannedShape(quantizer(), {6, 40, 4, 16, 0}, 0.05);
  RandomMatrix matrix(6, 40, 10);
  matrix.gradient[4 * 40 + 17] = kNotANumber;
  ExpectNames(Quantize(matrix, shape), {"gradient", "model.some.weight", "row 4", "column 17"});
}

TEST_P(GramConformance, RefusesAGramMatrixThatIsNotFinite) {
  const PackedShape shape = PlannedShape(quantizer(), {6, 40, 4, 16, 0}, 0.05);
  RandomMatrix matrix(6, 40, 11);
  matrix.gram[4 * 40 + 17] = kInfinite;
  ExpectNames(Quantize(matrix, shape), {"Gram matrix", "model.some.weight", "row 4", "column 17"});
}

TEST_P(GramConformance, LosesLessOfTheOutputsThanRoundToNearest) {
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    SCOPED_TRACE(fmt::format("{} bits", bits));
    const PackedShape plain{48, 128, bits, 32, 0};
    const PackedShape shape = PlannedShape(quantizer(), plain, 0.01);
    const RandomMatrix matrix(48, 128, 12);
    const auto made = Quantize(matrix, shape);
    ThreadPool pool(1);
    const Quantizer& rtn = *FindQuantizer(Method::kRtn);
    const auto rounded = rtn.Quantize(matrix.InputFor(rtn, {}, plain), {}, {pool, nullptr});
    ASSERT_THAT(made, IsOk());
    ASSERT_THAT(rounded, IsOk());
    const double error = matrix.OutputError(Dequantized(made->content));
    const double of_rtn = matrix.OutputError(Dequantized(rounded->content));
    EXPECT_LT(error, 0.7 * of_rtn) << "the inputs are mixed from few sources, so that much can be compensated";
  }
}

TEST_P(GramConformance, TakesInputsThatAreAllZeroOrTheSame) {
  const PackedShape shape = PlannedShape(quantizer(), {6, 40, 4, 16, 0}, 0.05);
  for (const float entry : {0.0F, 1.0F, 1e-30F, 1e30F}) {
    SCOPED_TRACE(entry);
    RandomMatrix matrix(6, 40, 14);
    std::ranges::fill(matrix.gram, entry);
    const auto made = Quantize(matrix, shape);
    ASSERT_THAT(made, IsOk());
    EXPECT_LE(made->error, made->norm);
    for (const float value : Dequantized(made->content)) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST_P(QuantizerConformance, TellsMoreMemoryForALargerMatrix) {
  const uint64_t small = quantizer().Memory({64, 64, 4, 64, 0}, recipe());
  const uint64_t large = quantizer().Memory({4096, 4096, 4, 64, 0}, recipe());
  EXPECT_GE(large, uint64_t{4096} * 4096);
  EXPECT_GT(large, small);
}

std::string NameOf(const ::testing::TestParamInfo<QuantizerCase>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Methods, QuantizerConformance, ::testing::ValuesIn(testing::AllQuantizerCases()), NameOf);
INSTANTIATE_TEST_SUITE_P(Methods, GradientConformance,
                         ::testing::ValuesIn(testing::QuantizerCasesThatNeed(Needs::kGradient)), NameOf);
INSTANTIATE_TEST_SUITE_P(Methods, GramConformance, ::testing::ValuesIn(testing::QuantizerCasesThatNeed(Needs::kGram)),
                         NameOf);

// Without anything to compensate with, the codes are those of round to nearest.
TEST(Gptq, OfInputsThatDoNotDependOnEachOtherIsRoundToNearest) {
  const PackedShape shape{20, 40, 3, 16, 0};
  RandomMatrix matrix(20, 40, 15);
  for (size_t i = 0; i < matrix.gram.size(); ++i) matrix.gram[i] = i % 41 == 0 ? static_cast<float>(i + 1) : 0.0F;
  Recipe recipe;
  recipe.gptq.range_search = false;
  const NaiveSolver solver;
  ThreadPool pool(1);
  const Quantizer &gptq = *FindQuantizer(Method::kGptq), &rtn = *FindQuantizer(Method::kRtn);
  for (const bool act_order : {false, true}) {
    recipe.gptq.act_order = act_order;
    const auto made = gptq.Quantize(matrix.InputFor(gptq, recipe, shape), recipe, {pool, &solver});
    const auto rounded = rtn.Quantize(matrix.InputFor(rtn, recipe, shape), recipe, {pool, nullptr});
    ASSERT_THAT(made, IsOk());
    ASSERT_THAT(rounded, IsOk());
    EXPECT_TRUE(SameContent(made->content, rounded->content)) << act_order;
  }
}

TEST(Quantizers, EveryMethodButKeepHasOne) {
  for (const auto& entry : kMethodNames) {
    EXPECT_EQ(FindQuantizer(entry.value) != nullptr, entry.value != Method::kKeep) << entry.name;
  }
}

}  // namespace
}  // namespace gwq
