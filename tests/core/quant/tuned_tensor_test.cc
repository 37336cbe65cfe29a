#include "core/quant/tuned/tuned_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/format/format.h"
#include "core/quant/group_quantize.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::IsOk;

// A packed matrix of random weights.
class StoredMatrix {
 public:
  explicit StoredMatrix(PackedShape shape) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> weights(static_cast<size_t>(shape.rows * shape.cols));
    for (float& weight : weights) weight = normal(random);
    std::vector<int64_t> outliers;
    for (int64_t i = 0; i < shape.outliers; ++i) outliers.push_back(7 * i + 2);
    ThreadPool pool(1);
    const TensorView view{DType::kF32, {shape.rows, shape.cols}, std::as_bytes(std::span(weights))};
    bytes_ = *EncodePacked(QuantizeMatrix(view, shape, outliers, {}, "some", pool)->content);
    packed_ = *PackedView::Open(bytes_);
    values.resize(weights.size());
    packed_.DequantizeAll(values);
  }
  [[nodiscard]] AffineView view() const { return *AffineView::Of(packed_); }
  std::vector<float> values;

 private:
  std::vector<std::byte> bytes_;
  PackedView packed_;
};

std::vector<float> Stored(const QuantizedMatrix& made) {
  const auto bytes = EncodePacked(made.content);
  EXPECT_THAT(bytes, IsOk());
  std::vector<float> out(made.content.codes.size());
  PackedView::Open(*bytes)->DequantizeAll(out);
  return out;
}

constexpr PackedShape kShape{5, 40, 3, 16, 0};
constexpr PackedShape kWithOutliers{5, 40, 3, 16, 9};

TEST(TunedTensor, ChangesNothingBeforeItsFirstStep) {
  for (PackedShape shape : {kShape, kWithOutliers}) {
    const StoredMatrix stored(shape);
    const TunedTensor tuned(stored.view());
    std::vector<float> values = stored.values;
    tuned.Apply(values);
    EXPECT_EQ(values, stored.values);
    ThreadPool pool(2);
    std::vector<float> direct(values.size());
    tuned.Values(stored.view(), pool, direct);
    EXPECT_EQ(direct, stored.values);
    EXPECT_EQ(Stored(tuned.Repacked(stored.view())), stored.values);
  }
}

TEST(TunedTensor, GoesTowardsATargetWithOtherScalesAndOutliers) {
  for (const int scale_bits : {16, 8}) {
    PackedShape shape = kWithOutliers;
    shape.format = &kAffine2;
    shape.scale_bits = scale_bits;
    const StoredMatrix stored(shape);
    std::vector<float> target = stored.values;
    for (size_t i = 0; i < target.size(); ++i) target[i] *= i / 16 % 2 == 0 ? 1.08F : 0.93F;
    TunedTensor tuned(stored.view());
    ThreadPool pool(2);
    const auto distance = [&](const std::vector<float>& values) {
      double sum = 0;
      for (size_t i = 0; i < values.size(); ++i) sum += std::pow(values[i] - target[i], 2);
      return sum;
    };
    for (int step = 1; step <= 60; ++step) {
      std::vector<float> values = stored.values, gradient(values.size());
      tuned.Apply(values);
      for (size_t i = 0; i < values.size(); ++i) gradient[i] = 2 * (values[i] - target[i]);
      tuned.Step(gradient, values, 0.01F * (1.0F - static_cast<float>(step) / 61.0F), step, pool);
    }
    std::vector<float> values = stored.values;
    tuned.Apply(values);
    std::vector<float> direct(values.size());
    tuned.Values(stored.view(), pool, direct);
    // Products in another order.
    for (size_t i = 0; i < direct.size(); ++i) EXPECT_NEAR(direct[i], values[i], 1e-6F * std::abs(values[i]));
    EXPECT_LT(distance(values), 0.2 * distance(stored.values));
    EXPECT_NEAR(distance(Stored(tuned.Repacked(stored.view()))), distance(values), 0.05 * distance(stored.values));
  }
}

TEST(TunedTensor, KeepsTheCodes) {
  const StoredMatrix stored(kShape);
  TunedTensor tuned(stored.view());
  ThreadPool pool(1);
  tuned.Step(std::vector<float>(200, 1.0F), stored.values, 0.05F, 1, pool);
  const QuantizedMatrix made = tuned.Repacked(stored.view());
  std::vector<uint8_t> row(40);
  for (int64_t i = 0; i < 5; ++i) {
    stored.view().UnpackCodes(i, row);
    EXPECT_TRUE(std::equal(row.begin(), row.end(), made.content.codes.begin() + i * 40)) << "row " << i;
  }
}

TEST(TunedTensor, OfANormScalesEachWeight) {
  TunedTensor tuned(1, 4, 1);
  ThreadPool pool(1);
  std::vector<float> values = {1, 2, -3, 0};
  tuned.Step(std::vector<float>{1, -1, 1, 1}, values, 0.1F, 1, pool);
  tuned.Apply(values);
  // Adam's first step is the rate, against the gradient times the weight.
  EXPECT_NEAR(values[0], std::exp(-0.1), 1e-5);
  EXPECT_NEAR(values[1], 2 * std::exp(0.1), 1e-5);
  EXPECT_NEAR(values[2], -3 * std::exp(0.1), 1e-5);
  EXPECT_EQ(values[3], 0);
}

TEST(TunedTensor, GoesOnFromItsState) {
  const StoredMatrix stored(kWithOutliers);
  TunedTensor whole(stored.view()), first(stored.view()), second(stored.view());
  ThreadPool pool(1);
  const std::vector<float> gradient(200, 0.3F);
  whole.Step(gradient, stored.values, 0.05F, 1, pool);
  first.Step(gradient, stored.values, 0.05F, 1, pool);
  ASSERT_TRUE(second.SetState(first.State()));
  whole.Step(gradient, stored.values, 0.05F, 2, pool);
  second.Step(gradient, stored.values, 0.05F, 2, pool);
  EXPECT_EQ(second.State(), whole.State());
  EXPECT_FALSE(second.SetState(std::vector<float>(3)));
}

}  // namespace
}  // namespace gwq
