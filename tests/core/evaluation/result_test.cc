// How results are written: values that JSON cannot hold among them.
#include "core/evaluation/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/evaluation/measure.h"
#include "core/io/json.h"
#include "core/io/json_number.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(JsonNumber, IsReadBackFromJson) {
  for (const double value : {0.0, -1.5, kInfinity, -kInfinity}) {
    const std::string text = CanonicalJson(JsonNumber(value));
    EXPECT_EQ(NumberOf(nlohmann::json::parse(text)), value) << text;
  }
  EXPECT_TRUE(std::isnan(*NumberOf(JsonNumber(NAN))));
}

TEST(JsonNumber, IsNothingElse) {
  for (const nlohmann::json& other : {nlohmann::json(), nlohmann::json("1"), nlohmann::json("inf"),
                                      nlohmann::json(true), nlohmann::json::array({1})}) {
    EXPECT_EQ(NumberOf(other), std::nullopt) << other.dump();
  }
}

TEST(EvaluationResult, SaysThatAValueIsInfinite) {
  EvaluationResult result;
  result.metrics.push_back({"perplexity", kInfinity, std::nullopt});
  const auto json = nlohmann::json::parse(EvaluationJson(result));
  EXPECT_EQ(json["metrics"][0]["value"], "Infinity");
  EXPECT_THAT(EvaluationMarkdown(result), HasSubstr("| perplexity | inf |"));
}

TEST(MeanMetric, HasNoStandardErrorIfItIsInfinite) {
  EXPECT_TRUE(MeanMetric("kl", {1, 2}).standard_error.has_value());
  const EvaluationMetric metric = MeanMetric("kl", {1, kInfinity});
  EXPECT_EQ(metric.value, kInfinity);
  EXPECT_FALSE(metric.standard_error.has_value());
}

}  // namespace
}  // namespace gwq
