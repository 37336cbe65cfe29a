#include "core/quant/budget/choose.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gwq {
namespace {

using Things = std::vector<std::vector<FormCost>>;

uint64_t BytesOf(const Things& things, const std::vector<size_t>& forms) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < forms.size(); ++i) bytes += things[i][forms[i]].bytes;
  return bytes;
}

double LossOf(const Things& things, const std::vector<size_t>& forms) {
  double loss = 0;
  for (size_t i = 0; i < forms.size(); ++i) loss += things[i][forms[i]].loss;
  return loss;
}

// The least loss within the limit, by trying all.
double Best(const Things& things, uint64_t limit) {
  double best = HUGE_VAL;
  std::vector<size_t> forms(things.size());
  for (;;) {
    if (BytesOf(things, forms) <= limit) best = std::min(best, LossOf(things, forms));
    size_t i = 0;
    while (i < forms.size() && ++forms[i] == things[i].size()) forms[i++] = 0;
    if (i == forms.size()) return best;
  }
}

Things Drawn(std::mt19937& random, size_t count) {
  Things things(count);
  for (std::vector<FormCost>& forms : things) {
    const double height = std::exp(std::uniform_real_distribution<double>(-3, 3)(random));
    uint64_t bytes = 100 + random() % 50;
    for (int form = 0; form < 4; ++form, bytes += 20 + random() % 60) {
      forms.push_back({bytes, height * std::exp(-static_cast<double>(bytes) / 40)});
    }
  }
  return things;
}

TEST(ChooseForms, GivesMoreBytesToWhatGainsMore) {
  const Things things = {{{10, 1.0}, {20, 0.9}}, {{10, 8.0}, {20, 2.0}}};
  EXPECT_EQ(ChooseForms(things, 30), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(ChooseForms(things, 29), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(ChooseForms(things, 40), (std::vector<size_t>{1, 1}));
}

TEST(ChooseForms, PassesOverAFormThatIsNotOnTheHull) {
  const Things things = {{{10, 1.0}, {20, 0.99}, {30, 0.0}}};
  EXPECT_EQ(ChooseForms(things, 30), (std::vector<size_t>{2}));
  EXPECT_EQ(ChooseForms(things, 29), (std::vector<size_t>{1})) << "what remains is filled";
}

TEST(ChooseForms, TakesNoFormThatLosesMore) {
  const Things things = {{{10, 1.0}, {20, 1.5}}};
  EXPECT_EQ(ChooseForms(things, 100), (std::vector<size_t>{0}));
}

TEST(ChooseForms, StaysWithinTheLimitAndNearTheBest) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const Things things = Drawn(random, 6);
    const uint64_t least = BytesOf(things, std::vector<size_t>(6)), limit = least + random() % 700;
    const std::vector<size_t> chosen = ChooseForms(things, limit);
    EXPECT_LE(BytesOf(things, chosen), limit);
    // The relaxed optimum with one step's bytes less is a bound for the greedy choice.
    EXPECT_LE(LossOf(things, chosen), Best(things, limit < least + 80 ? least : limit - 80) + 1e-12);
  }
}

TEST(ChooseForms, OfThousandsOfThingsIsQuickAndFillsTheLimit) {
  std::mt19937 random(11);
  const Things things = Drawn(random, 20'000);
  const uint64_t limit = BytesOf(things, std::vector<size_t>(things.size())) * 13 / 10;
  const uint64_t bytes = BytesOf(things, ChooseForms(things, limit));
  EXPECT_LE(bytes, limit);
  EXPECT_GE(bytes, limit - 100);
}

}  // namespace
}  // namespace gwq
