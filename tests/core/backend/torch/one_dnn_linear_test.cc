// Linear layers by oneDNN against those of the default library: TorchBackend, F32, within 1e-4 of the largest value.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/backend/torch/torch_backend.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::IsOk;

constexpr int64_t kIn = 96, kOut = 64;

std::vector<float> Values(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(count));
  for (float& one : out) one = normal(random);
  return out;
}

TensorView ViewOf(const std::vector<float>& values, Shape shape) {
  return {DType::kF32, std::move(shape), std::as_bytes(std::span(values))};
}

struct Passed {
  std::vector<float> output, input_gradient, weight_gradient;
};

// A linear layer forth and back.
Passed RunLinear(LinearLibrary library, int64_t rows, bool with_bias) {
  auto backend = TorchBackend::Create({2, library});
  EXPECT_THAT(backend, IsOk());
  const auto weight = (*backend)->LoadDense(ViewOf(Values(kOut * kIn, 1), {kOut, kIn}));
  const auto bias = (*backend)->LoadDense(ViewOf(Values(kOut, 2), {kOut}));
  EXPECT_THAT((*backend)->WantGradient(**weight), IsOk());
  const auto pass = (*backend)->BeginGradient(BatchOfRows(rows));
  EXPECT_THAT(pass, IsOk());
  const Linear linear{weight->get(), with_bias ? bias->get() : nullptr};
  Activation out = (*pass)->Apply((*pass)->DifferentiableInput(Values(rows * kIn, 3), kIn), linear, std::nullopt);
  Passed run;
  run.output.resize(static_cast<size_t>(rows * kOut));
  EXPECT_THAT((*pass)->Read(out, run.output), IsOk());
  EXPECT_THAT((*pass)->Backward(std::move(out), Values(rows * kOut, 4)), IsOk());
  run.input_gradient.resize(static_cast<size_t>(rows * kIn));
  EXPECT_THAT((*pass)->InputGradient(run.input_gradient), IsOk());
  const auto gradient = (*backend)->GradientOf(**weight);
  EXPECT_THAT(gradient, IsOk());
  run.weight_gradient.assign(gradient->begin(), gradient->end());
  return run;
}

void ExpectNear(const std::vector<float>& made, const std::vector<float>& wanted) {
  ASSERT_EQ(made.size(), wanted.size());
  float largest = 0, difference = 0;
  for (size_t i = 0; i < made.size(); ++i) {
    largest = std::max(largest, std::abs(wanted[i]));
    difference = std::max(difference, std::abs(made[i] - wanted[i]));
  }
  EXPECT_LE(difference, 1e-4F * largest);
}

TEST(OneDnnLinear, MakesWhatTheDefaultLibraryMakesForthAndBack) {
  for (const bool with_bias : {false, true}) {
    const Passed made = RunLinear(LinearLibrary::kOneDnn, 200, with_bias);
    const Passed wanted = RunLinear(LinearLibrary::kDefault, 200, with_bias);
    ExpectNear(made.output, wanted.output);
    ExpectNear(made.input_gradient, wanted.input_gradient);
    ExpectNear(made.weight_gradient, wanted.weight_gradient);
  }
}

TEST(OneDnnLinear, MakesTheSameBitsTwice) {
  const Passed first = RunLinear(LinearLibrary::kOneDnn, 200, true),
               second = RunLinear(LinearLibrary::kOneDnn, 200, true);
  EXPECT_EQ(first.output, second.output);
  EXPECT_EQ(first.input_gradient, second.input_gradient);
  EXPECT_EQ(first.weight_gradient, second.weight_gradient);
}

TEST(OneDnnLinear, FewRowsAreTheDefaultLibrarysToTheBit) {
  const Passed made = RunLinear(LinearLibrary::kOneDnn, 64, true),
               wanted = RunLinear(LinearLibrary::kDefault, 64, true);
  EXPECT_EQ(made.output, wanted.output);
  EXPECT_EQ(made.weight_gradient, wanted.weight_gradient);
}

}  // namespace
}  // namespace gwq
