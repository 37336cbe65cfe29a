// Whether a method's Memory bounds what it allocates: counted at malloc, with the solver that the program uses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/backend/torch/torch_solver.h"
#include "tests/core/quant/quantizer_conformance.h"
#include "tests/core/vision/counting_malloc.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::IsOk;
using testing::PeakHeap;
using testing::PlannedShape;
using testing::QuantizerCase;
using testing::RandomMatrix;

// Square, tall and wide.
constexpr PackedShape kShapes[] = {{512, 512, 4, 64, 0}, {2048, 96, 3, 32, 0}, {64, 768, 4, 128, 0}};

uint64_t BytesOf(const PackedContent& content) {
  return content.codes.capacity() + content.scales.capacity() * sizeof(uint16_t) + content.zeros.capacity() +
         content.outlier_positions.capacity() * sizeof(int64_t) + content.outlier_values.capacity() * sizeof(uint16_t);
}

class QuantizerMemory : public ::testing::TestWithParam<QuantizerCase> {};

TEST_P(QuantizerMemory, IsAnUpperBoundOfWhatQuantizingTakesBesideInputAndResult) {
  const auto& [name, method, recipe] = GetParam();
  const Quantizer& quantizer = *FindQuantizer(method);
  const TorchSolver solver(1);
  ThreadPool pool(2);
  for (const PackedShape& plain : kShapes) {
    for (const double ratio : {0.0, 0.01, 0.5}) {
      SCOPED_TRACE(fmt::format("{} x {}, outliers {}", plain.rows, plain.cols, ratio));
      const PackedShape shape = PlannedShape(quantizer, plain, ratio);
      const RandomMatrix matrix(shape.rows, shape.cols, 1, 4);
      const MatrixInput input = matrix.InputFor(quantizer, recipe, shape);
      // The libraries' own memory is there after the first call.
      EXPECT_THAT(quantizer.Quantize(input, recipe, {pool, &solver}), IsOk());
      const PeakHeap peak;
      const auto made = quantizer.Quantize(input, recipe, {pool, &solver});
      const auto held = static_cast<uint64_t>(peak.bytes());
      ASSERT_THAT(made, IsOk());
      const uint64_t result = BytesOf(made->content);
      EXPECT_GE(held, result) << "the counter counts";
      const uint64_t bound = quantizer.Memory(shape, recipe);
      EXPECT_LE(held - result, bound);
      EXPECT_LE(bound, 4 * held + (uint64_t{2} << 20)) << "a bound that is far too large keeps jobs waiting";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, QuantizerMemory, ::testing::ValuesIn(testing::AllQuantizerCases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gwq
