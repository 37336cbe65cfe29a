#include "core/calibration/sample_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace gwq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kTokens = 512;

// `count` tokens from `first` on, none twice.
CalibrationSample Counting(int32_t first, int64_t count = kTokens) {
  CalibrationSample sample;
  sample.tokens.resize(static_cast<size_t>(count));
  std::iota(sample.tokens.begin(), sample.tokens.end(), first);
  return sample;
}

CalibrationSample Period(int32_t first, int64_t period) {
  CalibrationSample sample = Counting(first);
  for (size_t i = 0; i < sample.tokens.size(); ++i) {
    sample.tokens[i] = first + static_cast<int32_t>(static_cast<int64_t>(i) % period);
  }
  return sample;
}

TEST(SampleWarnings, FindNothingAgainstVariedSamples) {
  EXPECT_THAT(SampleWarnings({Counting(0), Counting(1000), Counting(2000)}, {.samples = 3, .rows = 3 * kTokens}),
              IsEmpty());
}

TEST(SampleWarnings, NameASampleThatRepeatsItself) {
  // 505 stretches, of which the first 100 differ.
  EXPECT_THAT(SampleWarnings({Counting(0), Period(1000, 100)}, {}),
              ElementsAre(HasSubstr("1 of 2 samples repeat themselves: over 20 % of their stretches of 8 tokens stand "
                                    "earlier in the same sample (sample 1: 80 %)")));
  EXPECT_THAT(SampleWarnings({Period(0, 450)}, {}), IsEmpty()) << "11 % is not much";
}

TEST(SampleWarnings, NameSamplesThatRepeatOthers) {
  EXPECT_THAT(SampleWarnings({Counting(0), Counting(1000), Counting(0), Counting(1100)}, {}),
              ElementsAre(HasSubstr("2 of 4 samples repeat others: over 50 % of their stretches of 8 tokens stand in "
                                    "samples before them (sample 2: 100 %)")));
  EXPECT_THAT(SampleWarnings({Counting(0), Counting(300)}, {}), IsEmpty()) << "41 % is shared";
}

TEST(SampleWarnings, FindRepeatedSamplesAmongVeryMany) {
  SampleSet samples;
  for (int32_t i = 0; i < 300; ++i) samples.push_back(Counting(10'000 * i, 8192));
  samples.push_back(samples.front());
  EXPECT_THAT(SampleWarnings(samples, {}), ElementsAre(HasSubstr("1 of 301 samples repeat others")));
}

TEST(SampleWarnings, NameShortSamples) {
  EXPECT_THAT(SampleWarnings({Counting(0), Counting(1000, 127)}, {}),
              ElementsAre(HasSubstr("1 of 2 samples are short: under 128 tokens, where max_tokens is 512")));
  EXPECT_THAT(SampleWarnings({Counting(0, 63)}, {.max_tokens = 256}), ElementsAre(HasSubstr("under 64 tokens")));
  EXPECT_THAT(SampleWarnings({Counting(0, 16)}, {.max_tokens = 64}), IsEmpty()) << "16 were asked for at least";
}

TEST(SampleWarnings, NameTooFewSamplesAndTokens) {
  EXPECT_THAT(SampleWarnings({Counting(0)}, {.samples = 8, .rows = 513}),
              ElementsAre(HasSubstr("there are 1 samples; the methods of the recipe should have 8 or more"),
                          HasSubstr("the samples have 512 tokens; the widest Gram matrix has 513 columns")));
}

}  // namespace
}  // namespace gwq
