#include "core/engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::map<int32_t, double> Shares(const SamplingOptions& options, const std::vector<float>& logits, int draws) {
  Sampler sampler(options);
  std::map<int32_t, double> shares;
  for (int i = 0; i < draws; ++i) shares[*sampler.Sample(logits, i)] += 1.0 / draws;
  return shares;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdOfEquals) {
  Sampler sampler({});
  const std::vector<float> logits = {-1, 3, -kInfinity, 3, 2};
  EXPECT_EQ(*sampler.Sample(logits, 0), 1);
  EXPECT_EQ(*sampler.Sample(logits, 99), 1);
}

TEST(Sampler, NamesLogitsThatAreNotFinite) {
  for (const double temperature : {0.0, 1.0}) {
    Sampler sampler({.temperature = temperature});
    const std::vector<std::vector<float>> broken = {
        {1, std::nanf(""), 2}, {1, kInfinity, 2}, {-kInfinity, -kInfinity}, {std::nanf("")}};
    for (const auto& logits : broken) {
      const auto token = sampler.Sample(logits, 4);
      EXPECT_EQ(token.status().code(), absl::StatusCode::kInternal);
      EXPECT_NE(MessageOf(token.status()).find("token 4"), std::string_view::npos);
    }
  }
}

TEST(Sampler, FrequenciesFollowTheSoftmaxAtATemperature) {
  const std::vector<float> logits = {0, 1, 2, -kInfinity};
  const double temperature = 0.7;
  double total = 0;
  for (int i = 0; i < 3; ++i) total += std::exp(i / temperature);
  const auto shares = Shares({.temperature = temperature, .seed = 5}, logits, 40000);
  ASSERT_EQ(shares.size(), 3u);
  // Three standard deviations of a share of 40000 draws are at most 0.0075.
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(shares.at(i), std::exp(i / temperature) / total, 0.0075);
}

TEST(Sampler, TopKKeepsTheLargestAndLowestIdsOfEquals) {
  const std::vector<float> logits = {5, 1, 5, 5, 4};
  const auto shares = Shares({.temperature = 1, .top_k = 2, .seed = 1}, logits, 2000);
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_NEAR(shares.at(0), 0.5, 0.04);
  EXPECT_NEAR(shares.at(2), 0.5, 0.04);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  const std::vector<float> logits = {std::log(0.15F), std::log(0.5F), std::log(0.05F), std::log(0.3F)};
  const auto kept = [&](double top_p) {
    std::set<int32_t> tokens;
    for (const auto& [token, share] : Shares({.temperature = 1, .top_p = top_p, .seed = 3}, logits, 4000))
      tokens.insert(token);
    return tokens;
  };
  EXPECT_EQ(kept(0.01), (std::set<int32_t>{1}));
  EXPECT_EQ(kept(0.6), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(kept(0.9), (std::set<int32_t>{0, 1, 3}));
  EXPECT_EQ(kept(1.0), (std::set<int32_t>{0, 1, 2, 3}));
}

TEST(Sampler, TemperatureComesBeforeTopP) {
  // At temperature 1 the first token alone holds 0.88; at temperature 4 it holds 0.38 and more are needed for 0.6.
  const std::vector<float> logits = {2, 0, 0, 0};
  EXPECT_EQ(Shares({.temperature = 1, .top_p = 0.6, .seed = 2}, logits, 1000).size(), 1u);
  EXPECT_GT(Shares({.temperature = 4, .top_p = 0.6, .seed = 2}, logits, 1000).size(), 1u);
}

TEST(Sampler, TopPOverAFlatVocabularyEqualsAFullSort) {
  std::mt19937 random(3);
  std::vector<float> logits(20000);
  for (float& logit : logits) logit = static_cast<float>(random() % 1000) * 1e-3F;
  const auto shares = Shares({.temperature = 1, .top_p = 0.5, .seed = 9}, logits, 500);
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  double total = 0;
  for (float logit : sorted) total += std::exp(static_cast<double>(logit));
  double sum = 0;
  size_t reach = 0;
  while (sum < 0.5 * total) sum += std::exp(static_cast<double>(sorted[reach++]));
  for (const auto& [token, share] : shares) EXPECT_GE(logits[static_cast<size_t>(token)], sorted[reach - 1]);
}

TEST(Sampler, ADrawDependsOnSeedAndIndexAlone) {
  std::mt19937 random(11);
  std::vector<float> logits(1000);
  for (float& logit : logits) logit = static_cast<float>(random() % 100) * 0.05F;
  Sampler first({.temperature = 1, .top_p = 0.95, .seed = 42});
  std::vector<int32_t> forward, backward;
  for (int i = 0; i < 50; ++i) forward.push_back(*first.Sample(logits, i));
  Sampler second({.temperature = 1, .top_p = 0.95, .seed = 42});
  for (int i = 49; i >= 0; --i) backward.push_back(*second.Sample(logits, i));
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  Sampler other({.temperature = 1, .top_p = 0.95, .seed = 43});
  std::vector<int32_t> different;
  for (int i = 0; i < 50; ++i) different.push_back(*other.Sample(logits, i));
  EXPECT_NE(forward, different);
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  const std::vector<float> logits = {-3e38F, 0, 3e38F};
  EXPECT_EQ(*Sampler({.temperature = 1e-300}).Sample(logits, 0), 2);
  EXPECT_EQ(*Sampler({.temperature = 1e-300, .top_p = 0.5}).Sample(logits, 0), 2);
  EXPECT_TRUE(Sampler({.temperature = 100, .top_k = 2, .top_p = 0.5}).Sample(logits, 0).ok());
}

TEST(Sampler, TopKOfOneIsGreedyAtAnyTemperature) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    EXPECT_EQ(*Sampler({.temperature = 100, .top_k = 1, .seed = seed}).Sample(std::vector<float>{1, 2, 2, 0}, 7), 1);
  }
}

TEST(Sampler, TopKAboveTheVocabularyFiltersNothing) {
  const std::vector<float> logits = {1, 2, 3, 0, 2.5F};
  const auto all = Shares({.temperature = 2, .seed = 4}, logits, 500);
  for (const int32_t top_k : {5, 6, std::numeric_limits<int32_t>::max()}) {
    EXPECT_EQ(Shares({.temperature = 2, .top_k = top_k, .seed = 4}, logits, 500), all) << top_k;
  }
}

TEST(Sampler, ABannedTokenIsNeverDrawn) {
  const std::vector<float> logits = {-kInfinity, 0, -kInfinity, 1, -kInfinity};
  const std::vector<SamplingOptions> filters = {
      {.top_p = 1}, {.top_k = 4}, {.top_p = 0.999}, {.top_k = 3, .top_p = 0.9}};
  for (SamplingOptions options : filters) {
    options.temperature = 100;
    const auto shares = Shares(options, logits, 1000);
    ASSERT_EQ(shares.size(), 2u) << "top_k " << options.top_k << ", top_p " << options.top_p;
    EXPECT_TRUE(shares.contains(1) && shares.contains(3));
  }
}

TEST(Sampler, TopPIsAShareOfWhatTopKLeaves) {
  // 0.4, 0.3, 0.2, 0.1: the first has 0.57 of the first two, and less than 0.5 of all.
  const std::vector<float> logits = {std::log(0.4F), std::log(0.3F), std::log(0.2F), std::log(0.1F)};
  EXPECT_EQ(Shares({.temperature = 1, .top_k = 2, .top_p = 0.5, .seed = 1}, logits, 500).size(), 1u);
  EXPECT_EQ(Shares({.temperature = 1, .top_p = 0.5, .seed = 1}, logits, 500).size(), 2u);
}

TEST(Sampler, WhatTopPKeepsIsDrawnByItsProbability) {
  const std::vector<float> logits = {std::log(0.15F), std::log(0.5F), std::log(0.05F), std::log(0.3F)};
  const auto shares = Shares({.temperature = 1, .top_p = 0.75, .seed = 8}, logits, 40000);
  ASSERT_EQ(shares.size(), 2u);
  // Three standard deviations of a share of 40000 draws are at most 0.0075.
  EXPECT_NEAR(shares.at(1), 0.5 / 0.8, 0.0075);
  EXPECT_NEAR(shares.at(3), 0.3 / 0.8, 0.0075);
}

TEST(Sampler, AtTheSmallestTemperatureOnlyEqualsOfTheLargestAreDrawn) {
  constexpr double kSmallest = std::numeric_limits<double>::denorm_min();
  for (const double top_p : {1.0, 0.99}) {
    const auto shares = Shares({.temperature = kSmallest, .top_p = top_p, .seed = 2}, {3, 2.999F, 3, -kInfinity}, 2000);
    ASSERT_EQ(shares.size(), 2u);
    // Five standard deviations of a half of 2000 draws.
    EXPECT_NEAR(shares.at(0), 0.5, 0.056);
    EXPECT_TRUE(shares.contains(2));
  }
}

TEST(UniformAt, IsUniformAndUncorrelatedOverSeedsAndIndexes) {
  for (const bool over_seeds : {false, true}) {
    std::vector<int> bins(16);
    double correlation = 0;
    double previous = 0.5;
    for (int i = 0; i < 32000; ++i) {
      const double value = over_seeds ? UniformAt(static_cast<uint64_t>(i), 0) : UniformAt(1, i);
      ASSERT_GE(value, 0);
      ASSERT_LT(value, 1);
      ++bins[static_cast<size_t>(value * 16)];
      correlation += (value - 0.5) * (previous - 0.5) / 32000;
      previous = value;
    }
    // Five standard deviations: sqrt(32000 * 15/256) = 43 a bin; 1/12/sqrt(32000) = 0.00047 for the correlation.
    for (int count : bins) EXPECT_NEAR(count, 2000, 215);
    EXPECT_NEAR(correlation, 0, 0.0024);
  }
}

TEST(CheckSampling, NamesTheField) {
  const std::vector<std::pair<SamplingOptions, std::string>> cases = {
      {{.temperature = -0.1}, "sampling.temperature"},
      {{.temperature = std::nan("")}, "sampling.temperature"},
      {{.temperature = 101}, "sampling.temperature"},
      {{.top_k = -1}, "sampling.top_k"},
      {{.top_p = 0}, "sampling.top_p"},
      {{.top_p = 1.01}, "sampling.top_p"},
      {{.top_p = std::nan("")}, "sampling.top_p"}};
  for (const auto& [options, field] : cases) {
    const auto violations = FieldViolations(CheckSampling(options));
    ASSERT_EQ(violations.size(), 1u) << field;
    EXPECT_EQ(violations[0].field, field);
  }
  EXPECT_TRUE(CheckSampling({.temperature = 1, .top_k = 5, .top_p = 0.5}).ok());
}

}  // namespace
}  // namespace gwq
