#include "core/quant/job/contract_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/support/report_metrics.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::HasCode;
using testing::IsOk;
using testing::StoredGolden;

constexpr char kModel[] = "llama-tied-f16-v4";

Recipe Targeted(double bits) {
  Recipe recipe;
  recipe.method = Method::kGptq;
  recipe.target = {.bits = bits, .samples = 2};
  recipe.threads = 1;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "w1 w5 w9 w33 w2 w40 w41 w7 w63 w12 w12 w3 w8 w4 w6 w30 w31 w32 w20 w21 w22 w23 w24 w25";
  recipe.calibration.samples = 2;
  return recipe;
}

std::vector<EvaluationTask> Text() {
  return {
      {.text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20", .tokens = 20, .window = 10}};
}

double DivergenceOf(const QuantizeResult& made) {
  const Json report = Json::parse(made.report_json);
  return testing::ReportMetrics(report, 0).After("mean_kl");
}

// Keeps the last checkpoint, and counts the lines that tell of an attempt.
class Slot final : public CheckpointSlot {
 public:
  absl::StatusOr<std::optional<Checkpoint>> Load() override {
    if (!load.ok()) return load;
    return last_;
  }
  absl::Status Save(const Checkpoint& checkpoint) override {
    if (left == 0) return absl::AbortedError("the attempt ends here");
    --left;
    last_ = checkpoint;
    return absl::OkStatus();
  }
  [[nodiscard]] const std::optional<Checkpoint>& last() const { return last_; }
  void Put(const Checkpoint& checkpoint) { last_ = checkpoint; }
  int left = 1'000'000;
  absl::Status load;

 private:
  std::optional<Checkpoint> last_;
};
class Lines final : public Progress {
 public:
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view line) override { attempts += line.find("; trying ") != std::string_view::npos ? 1 : 0; }
  absl::Status Check() override { return absl::OkStatus(); }
  int attempts = 0;
};

absl::StatusOr<QuantizeResult> Search(StoredGolden& golden, const QualityContract& contract, Slot& slot,
                                      Progress& progress) {
  NoPassCache passes;
  return QuantizeToContract(golden.store(), golden.digest(), Targeted(6), progress, Text(), slot, passes, contract);
}

// What 6 and 9 bits of the matrices lose.
class ContractSearch : public ::testing::Test {
 protected:
  double Divergence(double bits) {
    return DivergenceOf(*QuantizeModel(golden_.store(), golden_.digest(), Targeted(bits), NoProgress(), Text()));
  }
  StoredGolden golden_{kModel};
};

TEST_F(ContractSearch, RaisesBitsUntilTheContractIsMet) {
  const double low = Divergence(6), high = Divergence(9);
  ASSERT_LT(high, low / 2);
  const QualityContract contract{.max_mean_kl = std::sqrt(low * high), .max_bits = 16};
  Slot slot;
  Lines lines;
  const auto made = Search(golden_, contract, slot, lines);
  ASSERT_THAT(made, IsOk());
  EXPECT_TRUE(made->misses.empty());
  EXPECT_GE(lines.attempts, 1);
  EXPECT_GT(made->matrix_bits_per_weight, 6);
  EXPECT_LE(DivergenceOf(*made), *contract.max_mean_kl);
}

TEST_F(ContractSearch, MakesOneArtifactWhereTheFirstMeetsIt) {
  Slot slot;
  Lines lines;
  const auto made = Search(golden_, {.max_mean_kl = 100, .max_bits = 16}, slot, lines);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(lines.attempts, 0);
  EXPECT_LE(made->matrix_bits_per_weight, 6);
}

TEST_F(ContractSearch, EndsAtTheBoundOnBitsWithTheNearest) {
  const QualityContract contract{.max_mean_kl = 1e-12, .max_bits = 8.5};
  Slot slot;
  Lines lines;
  const auto made = Search(golden_, contract, slot, lines);
  ASSERT_THAT(made, IsOk());
  ASSERT_EQ(made->misses.size(), 1U);
  EXPECT_EQ(made->misses[0].bound, "max_mean_kl");
  EXPECT_LE(made->model_bits_per_weight, 8.5);
  EXPECT_GE(lines.attempts, 1);
}

TEST_F(ContractSearch, GoesOnInTheAttemptThatWasEnded) {
  const QualityContract contract{.max_mean_kl = std::sqrt(Divergence(6) * Divergence(9)), .max_bits = 16};
  Slot counting;
  Lines lines;
  const auto whole = Search(golden_, contract, counting, lines);
  ASSERT_THAT(whole, IsOk());
  const int saves = 1'000'000 - counting.left;
  Slot slot;
  absl::StatusOr<QuantizeResult> made = absl::AbortedError("not yet");
  for (int attempt = 0; absl::IsAborted(made.status()) && attempt < 100; ++attempt) {
    slot.left = std::max(1, saves / 5);
    made = Search(golden_, contract, slot, lines);
  }
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->artifact, whole->artifact);
}

// What cannot be read now may be there: starting again would throw it away.
TEST_F(ContractSearch, EndsWhereItsCheckpointCannotBeReadNow) {
  Slot slot;
  slot.load = absl::UnavailableError("not now");
  Lines lines;
  const auto made = Search(golden_, {.max_mean_kl = 100, .max_bits = 16}, slot, lines);
  EXPECT_THAT(made, HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(ContractSearch, MakesNoMoreAttemptsThanItMayAlsoAcrossRestarts) {
  const QualityContract contract{.max_mean_kl = 1e-12, .max_bits = 16};
  Slot slot;
  slot.left = 1;
  Lines lines;
  EXPECT_THAT(Search(golden_, contract, slot, lines), HasCode(absl::StatusCode::kAborted));
  ASSERT_TRUE(slot.last().has_value());
  Json state = Json::parse(slot.last()->state);
  EXPECT_EQ(state["number"], 1);
  state["number"] = kMaxContractAttempts;
  Checkpoint last = *slot.last();
  last.state = state.dump();
  slot.Put(last);
  slot.left = 1'000'000;
  const auto made = Search(golden_, contract, slot, lines);
  ASSERT_THAT(made, IsOk());
  EXPECT_FALSE(made->misses.empty());
  EXPECT_EQ(lines.attempts, 0);
}

TEST(MoreBits, FollowsTheDivergenceThatIsMissed) {
  const auto missed = [](double value, double limit) {
    return std::vector<ContractMiss>{{.bound = "max_mean_kl", .what = "", .value = value, .limit = limit}};
  };
  EXPECT_DOUBLE_EQ(MoreBits(missed(0.2, 0.1)), 0.5);
  EXPECT_DOUBLE_EQ(MoreBits(missed(0.101, 0.1)), 0.125);
  EXPECT_DOUBLE_EQ(MoreBits(missed(100, 0.1)), 1.0);
  EXPECT_DOUBLE_EQ(MoreBits({{.bound = "min_same_top1", .what = "", .value = 0.5, .limit = 0.9, .at_most = false}}),
                   0.25);
}

}  // namespace
}  // namespace gwq
