// What TorchBackend observes of a weight's inputs, and new values for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>

#include "core/backend/torch/torch_backend.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::MaxDifference;

constexpr int64_t kHidden = 24;
constexpr int64_t kIntermediate = 40;
constexpr AttentionShape kAttention = {3, 1, 8, 0.35F};
// Of the largest entry: sums of products in another order.
constexpr double kTolerance = 1e-5;

using Floats = std::vector<float>;

// X^T X of rows of `width` values, in double precision.
Floats NaiveGram(const Floats& rows, int64_t width) {
  const auto n = static_cast<size_t>(width);
  std::vector<double> sum(n * n);
  for (size_t begin = 0; begin < rows.size(); begin += n) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) sum[i * n + j] += static_cast<double>(rows[begin + i]) * rows[begin + j];
    }
  }
  return {sum.begin(), sum.end()};
}

Floats Plus(Floats a, const Floats& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

class ForeignWeight final : public Weight {
 public:
  [[nodiscard]] Shape shape() const override { return {2, 2}; }
  [[nodiscard]] uint64_t bytes() const override { return 16; }
};

class InputGram : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = TorchBackend::Create({1});
    ASSERT_THAT(backend, IsOk());
    backend_ = *std::move(backend);
  }

  Floats Random(int64_t count) {
    Floats out(static_cast<size_t>(count));
    for (float& value : out) value = normal_(random_);
    return out;
  }
  std::unique_ptr<Weight> Load(const Floats& values, Shape shape) {
    return backend_->LoadDense({DType::kF32, std::move(shape), std::as_bytes(std::span(values))}).value();
  }
  std::unique_ptr<Weight> Matrix(int64_t out, int64_t in) { return Load(Random(out * in), {out, in}); }

  // x W^T of every weight, one after the other in one pass.
  std::vector<Floats> Apply(const Floats& x, int64_t width, const std::vector<const Weight*>& weights) {
    const auto rows = static_cast<int64_t>(x.size()) / width;
    const auto pass = backend_->Begin(BatchOfRows(rows), nullptr);
    EXPECT_THAT(pass, IsOk());
    const Activation input = (*pass)->Input(x, width);
    std::vector<Floats> out;
    for (const Weight* weight : weights) {
      const Activation made = (*pass)->Apply(input, {weight, nullptr});
      out.emplace_back(static_cast<size_t>(rows * weight->shape()[0]));
      EXPECT_THAT((*pass)->Read(made, out.back()), IsOk());
    }
    return out;
  }

  void ExpectGram(const Weight& weight, const Floats& want) {
    const auto gram = backend_->GramOf(weight);
    ASSERT_THAT(gram, IsOk());
    float largest = 0;
    for (const float value : want) largest = std::max(largest, std::fabs(value));
    EXPECT_LE(MaxDifference(*gram, want), kTolerance * largest);
  }

  std::unique_ptr<TorchBackend> backend_;
  std::mt19937 random_{5};
  std::normal_distribution<float> normal_;
};

TEST_F(InputGram, IsTheSumOfTheOuterProductsOfTheLayersInputs) {
  const auto weight = Matrix(5, kHidden);
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  const Floats x = Random(50 * kHidden);
  Apply(x, kHidden, {weight.get()});
  ExpectGram(*weight, NaiveGram(x, kHidden));
}

TEST_F(InputGram, AddsUpOverPasses) {
  const auto weight = Matrix(5, kHidden);
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  const Floats first = Random(30 * kHidden), second = Random(1 * kHidden), third = Random(7 * kHidden);
  for (const Floats* x : {&first, &second, &third}) Apply(*x, kHidden, {weight.get()});
  ExpectGram(*weight, Plus(Plus(NaiveGram(first, kHidden), NaiveGram(second, kHidden)), NaiveGram(third, kHidden)));
}

TEST_F(InputGram, IsItsDiagonalAloneWhereThatIsAskedFor) {
  const auto diagonal = Matrix(5, kHidden), whole = Matrix(6, kHidden);
  ASSERT_THAT(backend_->CollectGram(*diagonal, GramKind::kDiagonal), IsOk());
  ASSERT_THAT(backend_->CollectGram(*whole), IsOk());
  Floats sum(kHidden * kHidden);
  for (int pass = 0; pass < 2; ++pass) {
    const Floats x = Random(10 * kHidden);
    Apply(x, kHidden, {diagonal.get(), whole.get()});
    sum = Plus(sum, NaiveGram(x, kHidden));
  }
  ExpectGram(*whole, sum);
  Floats squares;
  for (size_t i = 0; i < kHidden; ++i) squares.push_back(sum[i * kHidden + i]);
  ASSERT_EQ(backend_->GramOf(*diagonal)->size(), squares.size());
  ExpectGram(*diagonal, squares);
}

TEST_F(InputGram, AddsUpWhereOneWeightReadsTwiceInAPass) {
  const auto weight = Matrix(kHidden, kHidden);
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  const Floats x = Random(9 * kHidden);
  const auto pass = backend_->Begin(BatchOfRows(9), nullptr);
  const Activation once = (*pass)->Apply((*pass)->Input(x, kHidden), {weight.get(), nullptr});
  const Activation twice = (*pass)->Apply(once, {weight.get(), nullptr});
  Floats between(x.size());
  ASSERT_THAT((*pass)->Read(once, between), IsOk());
  ASSERT_THAT((*pass)->Finish(), IsOk());
  ExpectGram(*weight, Plus(NaiveGram(x, kHidden), NaiveGram(between, kHidden)));
}

TEST_F(InputGram, IsOneMatrixForLayersThatReadTheSameRows) {
  const auto a = Matrix(5, kHidden), b = Matrix(6, kHidden), other = Matrix(7, kHidden);
  for (const Weight* weight : {a.get(), b.get(), other.get()}) ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  Floats all_shared(kHidden * kHidden), all_other(kHidden * kHidden);
  for (int pass = 0; pass < 3; ++pass) {
    const Floats x = Random(10 * kHidden), y = Random(4 * kHidden);
    Apply(x, kHidden, {a.get(), b.get()});
    Apply(y, kHidden, {other.get()});
    all_shared = Plus(all_shared, NaiveGram(x, kHidden));
    all_other = Plus(all_other, NaiveGram(y, kHidden));
  }
  EXPECT_EQ(backend_->GramOf(*a)->data(), backend_->GramOf(*b)->data());
  EXPECT_NE(backend_->GramOf(*a)->data(), backend_->GramOf(*other)->data());
  ExpectGram(*a, all_shared);
  ExpectGram(*other, all_other);
}

// Of a decoder block: queries, keys and values behind one norm, gate and up behind another.
TEST_F(InputGram, SharesOneMatrixAmongQueriesKeysAndValuesAndAmongGateAndUp) {
  const Floats scale = Random(kHidden);
  const auto norm_weight = Load(scale, {kHidden});
  const Norm norm{norm_weight.get(), 1e-5F};
  const auto q = Matrix(24, kHidden), k = Matrix(8, kHidden), v = Matrix(8, kHidden);
  const auto gate = Matrix(kIntermediate, kHidden), up = Matrix(kIntermediate, kHidden);
  const auto down = Matrix(kHidden, kIntermediate);
  for (const Weight* weight : {q.get(), k.get(), v.get(), gate.get(), up.get(), down.get()}) {
    ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  }
  constexpr int64_t kRows = 12;
  const Floats x = Random(kRows * kHidden);
  const std::vector<int32_t> tokens(kRows, 0);
  std::vector<int32_t> positions(kRows);
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<SequenceRows> sequences = {{0, kRows, 0, {}}};
  Batch batch;
  batch.rows = kRows;
  batch.tokens = tokens;
  batch.positions = positions;
  batch.sequences = sequences;
  const auto pass = backend_->Begin(batch, nullptr);
  ASSERT_THAT(pass, IsOk());
  Rope rope;
  rope.inverse_frequencies = {1, 0.3F, 0.1F, 0.03F};
  Activation input = (*pass)->Input(x, kHidden);
  const Activation queries =
      (*pass)->Queries(0, input, norm, {q.get(), nullptr}, {k.get(), nullptr}, {v.get(), nullptr}, rope, kAttention);
  const Activation gated = (*pass)->GatedUp(input, norm, {gate.get(), nullptr}, {up.get(), nullptr}, Gate::kSilu);
  Floats middle(kRows * kIntermediate);
  ASSERT_THAT((*pass)->Read(gated, middle), IsOk());
  const Activation out = (*pass)->AddLinear(std::move(input), gated, {down.get(), nullptr});
  ASSERT_THAT((*pass)->Finish(), IsOk());

  Floats normed = x;
  for (size_t row = 0; row < kRows; ++row) {
    double squares = 0;
    for (size_t i = 0; i < kHidden; ++i) squares += std::pow(x[row * kHidden + i], 2) / kHidden;
    for (size_t i = 0; i < kHidden; ++i) {
      normed[row * kHidden + i] = static_cast<float>(x[row * kHidden + i] / std::sqrt(squares + 1e-5) * scale[i]);
    }
  }
  const Floats want = NaiveGram(normed, kHidden);
  for (const Weight* weight : {q.get(), k.get(), v.get(), gate.get(), up.get()}) ExpectGram(*weight, want);
  EXPECT_EQ(backend_->GramOf(*k)->data(), backend_->GramOf(*q)->data());
  EXPECT_EQ(backend_->GramOf(*v)->data(), backend_->GramOf(*q)->data());
  EXPECT_EQ(backend_->GramOf(*up)->data(), backend_->GramOf(*gate)->data());
  EXPECT_NE(backend_->GramOf(*up)->data(), backend_->GramOf(*q)->data()) << "another norm's output";
  ExpectGram(*down, NaiveGram(middle, kIntermediate));
}

TEST_F(InputGram, IsCollectedBesideGradientsAndLeavesThemAlone) {
  const Floats values = Random(5 * kHidden), x = Random(6 * kHidden), ones(6 * 5, 1.0F);
  const auto gradient_of = [&](const Weight& weight) {
    EXPECT_THAT(backend_->WantGradient(weight), IsOk());
    const auto pass = backend_->BeginGradient(BatchOfRows(6));
    Activation out = (*pass)->Apply((*pass)->DifferentiableInput(x, kHidden), {&weight, nullptr});
    EXPECT_THAT((*pass)->Backward(std::move(out), ones), IsOk());
    const auto gradient = backend_->GradientOf(weight);
    EXPECT_THAT(gradient, IsOk());
    return Floats(gradient->begin(), gradient->end());
  };
  const auto plain = Load(values, {5, kHidden}), observed = Load(values, {5, kHidden});
  ASSERT_THAT(backend_->CollectGram(*observed), IsOk());
  EXPECT_EQ(gradient_of(*observed), gradient_of(*plain));
  ExpectGram(*observed, NaiveGram(x, kHidden));
}

TEST_F(InputGram, DoesNotChangeWhatLayersCompute) {
  const auto weight = Matrix(5, kHidden);
  const Floats x = Random(9 * kHidden);
  const auto before = Apply(x, kHidden, {weight.get()});
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  EXPECT_EQ(Apply(x, kHidden, {weight.get()}), before);
}

TEST_F(InputGram, StaysAsItIsWhilePaused) {
  const auto weight = Matrix(5, kHidden);
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  const Floats first = Random(8 * kHidden), second = Random(8 * kHidden);
  Apply(first, kHidden, {weight.get()});
  backend_->PauseGram(*weight);
  Apply(second, kHidden, {weight.get()});
  ExpectGram(*weight, NaiveGram(first, kHidden));
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  Apply(second, kHidden, {weight.get()});
  ExpectGram(*weight, Plus(NaiveGram(first, kHidden), NaiveGram(second, kHidden)));
}

TEST_F(InputGram, IsGoneOnceItIsDroppedAndStartsAtZeroAgain) {
  const auto weight = Matrix(5, kHidden);
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  const Floats first = Random(8 * kHidden), second = Random(8 * kHidden);
  Apply(first, kHidden, {weight.get()});
  backend_->DropGram(*weight);
  EXPECT_THAT(backend_->GramOf(*weight), HasCode(absl::StatusCode::kFailedPrecondition));
  Apply(second, kHidden, {weight.get()});
  EXPECT_THAT(backend_->GramOf(*weight), HasCode(absl::StatusCode::kFailedPrecondition)) << "the collecting ended";
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  Apply(second, kHidden, {weight.get()});
  ExpectGram(*weight, NaiveGram(second, kHidden));
}

TEST_F(InputGram, StaysForAWeightThatSharesItUntilThatDropsItToo) {
  const auto a = Matrix(5, kHidden), b = Matrix(6, kHidden);
  for (const Weight* weight : {a.get(), b.get()}) ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  const Floats x = Random(8 * kHidden);
  Apply(x, kHidden, {a.get(), b.get()});
  backend_->DropGram(*a);
  EXPECT_THAT(backend_->GramOf(*a), HasCode(absl::StatusCode::kFailedPrecondition));
  ExpectGram(*b, NaiveGram(x, kHidden));
  backend_->DropGram(*b);
  EXPECT_THAT(backend_->GramOf(*b), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(InputGram, IsNoneOfAWeightThatWasNotAskedForOrNotRead) {
  const auto asked = Matrix(5, kHidden), not_asked = Matrix(5, kHidden);
  ASSERT_THAT(backend_->CollectGram(*asked), IsOk());
  EXPECT_THAT(backend_->GramOf(*asked), HasCode(absl::StatusCode::kFailedPrecondition));
  Apply(Random(2 * kHidden), kHidden, {asked.get(), not_asked.get()});
  EXPECT_THAT(backend_->GramOf(*asked), IsOk());
  EXPECT_THAT(backend_->GramOf(*not_asked), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(InputGram, OfAnotherBackendsWeightIsRefused) {
  const ForeignWeight foreign;
  EXPECT_THAT(backend_->CollectGram(foreign), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(backend_->GramOf(foreign), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(backend_->SetValues(foreign, Floats(4)), HasCode(absl::StatusCode::kInvalidArgument));
  backend_->PauseGram(foreign);
  backend_->DropGram(foreign);
}

using SetValues = InputGram;

TEST_F(SetValues, TakesEffectInTheNextPass) {
  const Floats first = Random(5 * kHidden), second = Random(5 * kHidden), x = Random(3 * kHidden);
  const auto weight = Load(first, {5, kHidden}), want = Load(second, {5, kHidden});
  EXPECT_NE(Apply(x, kHidden, {weight.get()}), Apply(x, kHidden, {want.get()}));
  ASSERT_THAT(backend_->SetValues(*weight, second), IsOk());
  EXPECT_EQ(Apply(x, kHidden, {weight.get()}), Apply(x, kHidden, {want.get()}));
}

TEST_F(SetValues, CopiesThem) {
  Floats values = Random(5 * kHidden);
  const Floats x = Random(3 * kHidden);
  const auto weight = Matrix(5, kHidden);
  ASSERT_THAT(backend_->SetValues(*weight, values), IsOk());
  const auto before = Apply(x, kHidden, {weight.get()});
  std::ranges::fill(values, 0.0F);
  EXPECT_EQ(Apply(x, kHidden, {weight.get()}), before);
}

TEST_F(SetValues, LeavesTheGramMatrixAndReachesGradients) {
  const auto weight = Matrix(5, kHidden);
  const Floats values = Random(5 * kHidden), x = Random(3 * kHidden);
  ASSERT_THAT(backend_->CollectGram(*weight), IsOk());
  Apply(x, kHidden, {weight.get()});
  ASSERT_THAT(backend_->WantGradient(*weight), IsOk());
  ASSERT_THAT(backend_->SetValues(*weight, values), IsOk());
  backend_->PauseGram(*weight);
  ExpectGram(*weight, NaiveGram(x, kHidden));
  const auto pass = backend_->BeginGradient(BatchOfRows(3));
  Activation out = (*pass)->Apply((*pass)->DifferentiableInput(x, kHidden), {weight.get(), nullptr});
  ASSERT_THAT((*pass)->Backward(std::move(out), Floats(3 * 5, 1.0F)), IsOk());
  Floats gradient(x.size());
  ASSERT_THAT((*pass)->InputGradient(gradient), IsOk());
  for (size_t i = 0; i < kHidden; ++i) {
    float column = 0;
    for (size_t row = 0; row < 5; ++row) column += values[row * kHidden + i];
    EXPECT_NEAR(gradient[i], column, 1e-5);
  }
}

TEST_F(SetValues, OfAnotherNumberAreRefusedAndNothingChanges) {
  const auto weight = Matrix(5, kHidden);
  const Floats x = Random(3 * kHidden);
  const auto before = Apply(x, kHidden, {weight.get()});
  for (const int64_t count : {int64_t{0}, 5 * kHidden - 1, 5 * kHidden + 1}) {
    const absl::Status status = backend_->SetValues(*weight, Floats(static_cast<size_t>(count), 1.0F));
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(std::to_string(count)));
  }
  EXPECT_EQ(Apply(x, kHidden, {weight.get()}), before);
}

}  // namespace
}  // namespace gwq
