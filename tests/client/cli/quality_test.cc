// A quality contract as flags, and what a quantization came to as text.
#include <gmock/gmock.h>

#include "client/cli/commands/summary.h"
#include "client/cli/contract_flags.h"
#include "tests/support/status_matchers.h"

namespace gwq::cli {
namespace {

using testing::FailsAt;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;

absl::StatusOr<std::optional<v1::QualityContract>> Parse(std::vector<std::string> words) {
  CLI::App app;
  ContractArguments arguments;
  AddContractFlags(app, arguments);
  std::ranges::reverse(words);
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return ContractOf(arguments);
}

TEST(ContractFlags, BecomeTheFieldsTheyName) {
  const auto contract = Parse({"--max-mean-kl", "0.5", "--min-same-top1", "0", "--max-bits", "4.5", "--require",
                               "mmlu:acc>=0.5", "--require", "0:perplexity<=2e1"});
  ASSERT_THAT(contract, IsOk());
  ASSERT_TRUE(contract->has_value());
  EXPECT_EQ((*contract)->max_mean_kl(), 0.5);
  EXPECT_TRUE((*contract)->has_min_same_top1()) << "0 is a bound too";
  EXPECT_EQ((*contract)->max_bits(), 4.5);
  ASSERT_EQ((*contract)->floors_size(), 2);
  EXPECT_EQ((*contract)->floors(0).evaluation(), "mmlu");
  EXPECT_EQ((*contract)->floors(0).metric(), "acc");
  EXPECT_EQ((*contract)->floors(0).at_least(), 0.5);
  EXPECT_FALSE((*contract)->floors(0).has_at_most());
  EXPECT_EQ((*contract)->floors(1).at_most(), 20);
  EXPECT_FALSE((*contract)->floors(1).has_at_least());
}

TEST(ContractFlags, NoneMakeNoContract) {
  const auto contract = Parse({});
  ASSERT_THAT(contract, IsOk());
  EXPECT_FALSE(contract->has_value());
}

TEST(ContractFlags, WhatIsNoBoundIsRefused) {
  for (const char* text : {"", "acc>=1", "a:acc", "a:acc>1", "a:acc>=", "a:acc>=x", "a:acc>=nan", "a:acc>=inf",
                           ":acc>=1", "a:>=1", "a>=1:b", "a:acc=>1", "\xFF:acc>=1"}) {
    EXPECT_THAT(ParseFloor(text), FailsAt("require")) << text;
  }
  EXPECT_FALSE(Parse({"--max-mean-kl", "nan"}).ok());
  EXPECT_FALSE(Parse({"--max-bits", "few"}).ok());
}

TEST(SummaryText, HasALineForEachFigureThatIsKnown) {
  v1::ArtifactSummary summary;
  summary.set_source_bytes(4 << 20);
  summary.set_total_bytes(1 << 20);
  summary.set_matrix_bits_per_weight(4.25);
  summary.set_model_bits_per_weight(4.5);
  summary.set_seconds(12.25);
  summary.set_peak_memory_bytes(uint64_t{3} << 30);
  EXPECT_THAT(SummaryText(summary),
              HasSubstr("bits          4.2500 per weight of the matrices, 4.5000 of the model\n"));
  EXPECT_THAT(SummaryText(summary), Not(HasSubstr("perplexity")));
  summary.set_perplexity_before(20);
  summary.set_perplexity(25.5);
  summary.set_mean_kl(0.125);
  summary.set_same_top1(0.75);
  v1::SummaryMetric& metric = *summary.add_metrics();
  metric.set_evaluation("mmlu");
  metric.set_metric("acc");
  metric.set_after(0.5);
  EXPECT_THAT(SummaryText(summary), HasSubstr("perplexity    20 before, 25.5 after\nmean KL       0.125\n"
                                              "same top 1    0.7500\nmmlu acc      0.5\ntime          12.2 s\n"));
}

}  // namespace
}  // namespace gwq::cli
