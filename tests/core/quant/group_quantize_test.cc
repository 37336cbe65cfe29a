#include "core/quant/group_quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "core/quant/outliers.h"

namespace gwq {
namespace {

std::vector<float> Floats(const nlohmann::json& bits) {
  std::vector<float> out;
  for (const auto& word : bits) out.push_back(std::bit_cast<float>(word.get<int32_t>()));
  return out;
}

TensorView View(const std::vector<float>& values, int64_t rows, int64_t cols) {
  return {DType::kF32, {rows, cols}, std::as_bytes(std::span(values))};
}

std::vector<float> Dequantize(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  std::vector<float> out(content.codes.size());
  for (int64_t i = 0; i < shape.rows * shape.cols; ++i) {
    const auto slot = static_cast<size_t>(i / shape.cols * shape.groups_per_row() + i % shape.cols / shape.group_size);
    out[static_cast<size_t>(i)] = static_cast<float>(content.codes[static_cast<size_t>(i)] - content.zeros[slot]) *
                                  HalfToFloat(content.scales[slot]);
  }
  for (size_t i = 0; i < content.outlier_positions.size(); ++i) {
    out[static_cast<size_t>(content.outlier_positions[i])] = HalfToFloat(content.outlier_values[i]);
  }
  return out;
}

QuantizedMatrix Quantize(const std::vector<float>& weights, PackedShape shape, const std::vector<int64_t>& outliers) {
  ThreadPool pool(1);
  shape.outliers = static_cast<int64_t>(outliers.size());
  auto made = QuantizeMatrix(View(weights, shape.rows, shape.cols), shape, outliers, {}, "t", pool);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

TEST(GroupQuantize, EqualsTheReferenceOnGoldens) {
  const char* root = std::getenv("GWQ_SOURCE_DIR");
  ASSERT_NE(root, nullptr);
  std::ifstream file(std::string(root) + "/tests/core/quant/golden/group_quantize.json");
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["cases"].size(), 16U);
  for (const auto& one : golden["cases"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const PackedShape shape{one["rows"], one["cols"], one["bits"], one["group"], 0};
    const auto score = Floats(one["score"]);
    const auto picked =
        LargestScores(score, OutlierCount(one["ratio"].get<double>(), static_cast<int64_t>(score.size())), "t");
    ASSERT_TRUE(picked.ok());
    EXPECT_EQ(*picked, one["outliers"].get<std::vector<int64_t>>());
    const QuantizedMatrix made = Quantize(Floats(one["weight"]), shape, *picked);
    const auto expected = Floats(one["result"]);
    const auto result = Dequantize(made.content);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(result[i], expected[i]) << "at " << i;
    EXPECT_EQ(made.saturated, 0);
  }
}

TEST(GroupQuantize, OutlierSlotsHoldTheZeroPoint) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> weights(16 * 24);
  for (float& weight : weights) weight = normal(random);
  std::vector<int64_t> outliers;
  for (int64_t i = 0; i < 16 * 24; i += 5) outliers.push_back(i);
  const QuantizedMatrix made = Quantize(weights, {16, 24, 3, 8, 0}, outliers);
  for (const int64_t at : outliers) {
    EXPECT_EQ(made.content.codes[static_cast<size_t>(at)],
              made.content.zeros[static_cast<size_t>(at / 24 * 3 + at % 24 / 8)]);
  }
}

TEST(GroupQuantize, RandomMatricesLoseAtMostHalfAStepAndTellTheirError) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    std::vector<float> weights(32 * 40);
    for (float& weight : weights) weight = normal(random);
    const QuantizedMatrix made = Quantize(weights, {32, 40, bits, 16, 0}, {});
    const auto result = Dequantize(made.content);
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      const size_t slot = i / 40 * 3 + i % 40 / 16;
      // Half a step of rounding, and as much of the zero point's at the ends of the range.
      EXPECT_LE(std::fabs(weights[i] - result[i]), HalfToFloat(made.content.scales[slot]) * 1.01F);
      error += std::pow(weights[i] - result[i], 2);
      norm += std::pow(weights[i], 2);
    }
    EXPECT_NEAR(made.error, error, 1e-9 * norm);
    EXPECT_NEAR(made.norm, norm, 1e-9 * norm);
  }
}

TEST(GroupQuantize, ResultDoesNotDependOnThreads) {
  std::mt19937 random(12);
  std::normal_distribution<float> normal;
  std::vector<float> weights(37 * 20);
  for (float& weight : weights) weight = normal(random);
  const std::vector<int64_t> outliers = {3, 20, 21, 700};
  const PackedShape shape{37, 20, 4, 8, 4};
  ThreadPool one(1), three(3);
  const auto a = QuantizeMatrix(View(weights, 37, 20), shape, outliers, {}, "t", one);
  const auto b = QuantizeMatrix(View(weights, 37, 20), shape, outliers, {}, "t", three);
  EXPECT_EQ(a->content.codes, b->content.codes);
  EXPECT_EQ(a->content.outlier_values, b->content.outlier_values);
  EXPECT_EQ(a->error, b->error);
}

TEST(GroupQuantize, AGroupOfOutliersOnlyHasTheSmallestScale) {
  const std::vector<float> weights = {1, 2, 3, 4, 5, 6, 7, 8};
  const QuantizedMatrix made = Quantize(weights, {1, 8, 3, 8, 0}, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(HalfToFloat(made.content.scales[0]), 0x1p-24F);
  EXPECT_EQ(made.content.zeros[0], 0);
  EXPECT_THAT(made.content.codes, testing::Each(0));
  EXPECT_EQ(Dequantize(made.content), weights);
}

TEST(GroupQuantize, WhatFp16CannotHoldSaturatesAndIsCounted) {
  const float huge = std::numeric_limits<float>::max();
  const QuantizedMatrix made =
      Quantize({70000, -70000, 1, 2, 3, 4, 5, 6, -huge, huge, 0, 0, 0, 0, 0, 0}, {2, 8, 3, 8, 0}, {0, 1});
  EXPECT_EQ(HalfToFloat(made.content.outlier_values[0]), 65504.0F);
  EXPECT_EQ(HalfToFloat(made.content.outlier_values[1]), -65504.0F);
  EXPECT_EQ(HalfToFloat(made.content.scales[1]), 65504.0F);
  EXPECT_EQ(made.saturated, 3);
  for (const float value : Dequantize(made.content)) EXPECT_TRUE(std::isfinite(value));
}

TEST(GroupQuantize, RefusesAWeightThatIsNotFinite) {
  std::vector<float> weights(16, 1.0F);
  weights[11] = std::numeric_limits<float>::quiet_NaN();
  ThreadPool pool(1);
  const auto made = QuantizeMatrix(View(weights, 2, 8), {2, 8, 3, 8, 0}, {}, {}, "model.x.weight", pool);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(made.status().message().find("model.x.weight holds a value that is not finite at row 1, column 3"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace gwq
