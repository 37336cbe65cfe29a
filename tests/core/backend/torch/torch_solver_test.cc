#include "core/backend/torch/torch_solver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tests/core/backend/naive_solver.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::NaiveSolver;

// Of U's largest entry: single precision against double, of a matrix whose condition is about 10^4.
constexpr double kTolerance = 1e-4;

// A Gram matrix of correlated inputs, damped as GPTQ damps it.
std::vector<float> DampedGram(int64_t size, unsigned seed, double damping = 0.01) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const auto n = static_cast<size_t>(size);
  std::vector<float> mixing((n / 8 + 2) * n), gram(n * n), x(n);
  for (float& one : mixing) one = normal(random);
  for (size_t sample = 0; sample < n; ++sample) {
    std::ranges::fill(x, 0.0F);
    for (size_t source = 0; source < n / 8 + 2; ++source) {
      const float strength = normal(random);
      for (size_t i = 0; i < n; ++i) x[i] += strength * mixing[source * n + i];
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) gram[i * n + j] += x[i] * x[j];
    }
  }
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += gram[i * n + i] / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) gram[i * n + i] += static_cast<float>(damping * mean);
  return gram;
}

TEST(TorchSolver, GivesTheFactorOfTheNaiveSolver) {
  for (const int64_t size : {1, 2, 7, 64, 150}) {
    SCOPED_TRACE(size);
    const std::vector<float> gram = DampedGram(size, 1);
    const auto want = NaiveSolver().InverseFactor(gram, size);
    const auto got = TorchSolver(1).InverseFactor(gram, size);
    ASSERT_THAT(want, IsOk());
    ASSERT_THAT(got, IsOk());
    ASSERT_EQ(got->size(), want->size());
    float largest = 0;
    for (const float value : *want) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < want->size(); ++i) ASSERT_NEAR((*got)[i], (*want)[i], kTolerance * largest) << "at " << i;
  }
}

TEST(TorchSolver, GivesAnUpperTriangleWithAPositiveDiagonal) {
  const auto factor = TorchSolver(2).InverseFactor(DampedGram(40, 2), 40);
  ASSERT_THAT(factor, IsOk());
  for (size_t row = 0; row < 40; ++row) {
    EXPECT_GT((*factor)[row * 40 + row], 0);
    for (size_t col = 0; col < row; ++col) EXPECT_EQ((*factor)[row * 40 + col], 0) << row << ", " << col;
  }
}

TEST(TorchSolver, GivesTheSameBitsTwiceWithAnyNumberOfThreads) {
  const std::vector<float> gram = DampedGram(300, 3);
  for (const int threads : {1, 2}) {
    const TorchSolver solver(threads);
    const auto first = solver.InverseFactor(gram, 300);
    const auto second = solver.InverseFactor(gram, 300);
    ASSERT_THAT(first, IsOk());
    ASSERT_THAT(second, IsOk());
    EXPECT_EQ(*first, *second) << threads << " threads";
    EXPECT_EQ(*TorchSolver(threads).InverseFactor(gram, 300), *first);
  }
}

TEST(TorchSolver, LeavesTheMatrixAsItIs) {
  const std::vector<float> gram = DampedGram(20, 4);
  const std::vector<float> before = gram;
  EXPECT_THAT(TorchSolver(1).InverseFactor(gram, 20), IsOk());
  EXPECT_EQ(gram, before);
}

TEST(TorchSolver, RefusesAMatrixThatIsNotPositiveDefinite) {
  const std::vector<float> indefinite = {1, 2, 2, 1};
  const auto refused = TorchSolver(1).InverseFactor(indefinite, 2);
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("not positive definite"));
  EXPECT_THAT(TorchSolver(1).InverseFactor(std::vector<float>(16), 4), HasCode(absl::StatusCode::kFailedPrecondition));
  std::vector<float> negative = DampedGram(30, 5);
  negative[17 * 31] = -1;
  EXPECT_THAT(TorchSolver(2).InverseFactor(negative, 30), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(NaiveSolver().InverseFactor(negative, 30), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(TorchSolver, NamesTheRowThatIsNotPositive) {
  std::vector<float> matrix(25);
  for (size_t i = 0; i < 5; ++i) matrix[i * 6] = i == 3 ? 0.0F : 1.0F;
  const auto refused = TorchSolver(1).InverseFactor(matrix, 5);
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("at its row 3"));
}

TEST(TorchSolver, RefusesAMatrixThatIsNotFinite) {
  std::vector<float> matrix = DampedGram(8, 6);
  matrix[3 * 8 + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(TorchSolver(1).InverseFactor(matrix, 8), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(TorchSolver, RefusesAMatrixOfAnotherSize) {
  EXPECT_THAT(TorchSolver(1).InverseFactor(DampedGram(4, 7), 5), HasCode(absl::StatusCode::kInvalidArgument));
}

// Where fewer samples than inputs were seen, only the damping makes the matrix definite; single precision must do.
TEST(TorchSolver, TakesADampedMatrixOfLowRank) {
  for (const double damping : {0.0001, 0.01, 1.0}) {
    EXPECT_THAT(TorchSolver(1).InverseFactor(DampedGram(256, 8, damping), 256), IsOk()) << damping;
  }
}

std::vector<float> Random(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& one : out) one = normal(random);
  return out;
}

TEST(TorchSolver, AddsTheProductsOfRowsAsTheNaiveSolver) {
  const std::vector<float> rows = Random(9 * 5, 2);
  std::vector<float> got = Random(25, 3), want = got;
  ASSERT_THAT(TorchSolver(1).AddGram(rows, 5, got), IsOk());
  ASSERT_THAT(NaiveSolver().AddGram(rows, 5, want), IsOk());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5) << "at " << i;
}

TEST(TorchSolver, MultipliesRowsByAMatrixAsTheNaiveSolver) {
  const std::vector<float> rows = Random(9 * 5, 4), matrix = Random(25, 5);
  const auto got = TorchSolver(1).Multiply(rows, matrix, 5);
  const auto want = NaiveSolver().Multiply(rows, matrix, 5);
  ASSERT_THAT(got, IsOk());
  ASSERT_EQ(got->size(), want->size());
  for (size_t i = 0; i < want->size(); ++i) EXPECT_NEAR((*got)[i], (*want)[i], 1e-5) << "at " << i;
}

TEST(TorchSolver, RefusesSizesThatDoNotFit) {
  std::vector<float> rows(10), sum(9), wrong(24);
  EXPECT_THAT(TorchSolver(1).AddGram(rows, 3, sum), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TorchSolver(1).AddGram(rows, 5, wrong), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TorchSolver(1).Multiply(rows, wrong, 5), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TorchSolver(1).Multiply(rows, wrong, 0), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace gwq
