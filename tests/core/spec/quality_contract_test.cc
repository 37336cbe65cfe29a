// Quality contracts: what they may say, when they are met, and what a manifest keeps of them.
#include "core/spec/quality_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/spec/contract_check.h"
#include "core/spec/quality_gate.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

QualityContract Whole() {
  return {.max_mean_kl = 0.1,
          .min_same_top1 = 0.9,
          .max_bits = 4.5,
          .floors = {{.evaluation = "mmlu", .metric = "acc", .at_least = 0.5},
                     {.evaluation = "0", .metric = "perplexity", .at_least = 1, .at_most = 20}}};
}

// Meets it, every bound by equality.
QualityMeasures Exactly() {
  return {.bits = 4.5,
          .evaluations = {{"text", {{"perplexity", 20}, {"mean_kl", 0.1}, {"same_top1", 0.9}}},
                          {"mmlu", {{"acc", 0.5}, {"mean_kl", 0.1}}}}};
}

std::vector<std::string> Missed(const QualityContract& contract, const QualityMeasures& measures) {
  std::vector<std::string> out;
  for (const ContractMiss& miss : CheckContract(contract, measures)) out.push_back(miss.bound);
  return out;
}

TEST(QualityContract, SurvivesItsJson) {
  const auto parsed = ParseQualityContract(QualityContractJson(Whole()), "contract");
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(*parsed, Whole());
  EXPECT_EQ(*ParseQualityContract(QualityContractJson({}), "contract"), QualityContract{});
  EXPECT_TRUE(QualityContract{}.empty());
  EXPECT_FALSE(Whole().empty());
}

TEST(QualityContract, AFaultIsNamed) {
  const auto parse = [](const char* json) {
    return ParseQualityContract(nlohmann::json::parse(json), "contract").status();
  };
  EXPECT_THAT(parse(R"({"max_kl":1})"), FailsAt("contract.max_kl"));
  EXPECT_THAT(parse(R"({"max_mean_kl":"low"})"), FailsAt("contract.max_mean_kl"));
  EXPECT_THAT(parse(R"({"max_mean_kl":-1})"), FailsAt("contract.max_mean_kl"));
  EXPECT_THAT(parse(R"({"min_same_top1":1.5})"), FailsAt("contract.min_same_top1"));
  EXPECT_THAT(parse(R"({"max_bits":65})"), FailsAt("contract.max_bits"));
  EXPECT_THAT(parse(R"({"floors":[{"evaluation":"a","metric":"acc"}]})"), FailsAt("contract.floors[0]"));
  EXPECT_THAT(parse(R"({"floors":[{"metric":"acc","at_least":2,"at_most":1}]})"),
              FailsAt("contract.floors[0].at_least"));
  EXPECT_THAT(parse("[]"), FailsAt("contract"));
  QualityContract contract;
  contract.max_mean_kl = std::nan("");
  EXPECT_THAT(CheckQualityContract(contract, "c"), FailsAt("c.max_mean_kl"));
  contract = {};
  contract.floors.resize(65, {.evaluation = "0", .metric = "acc", .at_least = 0});
  EXPECT_THAT(CheckQualityContract(contract, "c"), FailsAt("c.floors"));
}

TEST(QualityContract, BindsOnlyWhatAnEvaluationOfTheJobMeasures) {
  const EvaluationTask text;
  EvaluationTask choices;
  choices.kind = EvaluationKind::kChoices;
  choices.name = "mmlu";
  EXPECT_THAT(CheckMeasured(Whole(), {text, choices}, "c"), IsOk());
  EXPECT_THAT(CheckMeasured(Whole(), {text}, "c"), FailsAt("c.floors[0].evaluation"));
  EXPECT_THAT(CheckMeasured({.max_mean_kl = 1}, {}, "c"), FailsAt("c.max_mean_kl"));
  EXPECT_THAT(CheckMeasured({.max_mean_kl = 1}, {choices}, "c"), IsOk());
  EXPECT_THAT(CheckMeasured({.min_same_top1 = 1}, {choices}, "c"), FailsAt("c.min_same_top1"));
  EXPECT_THAT(CheckMeasured({.max_bits = 1}, {}, "c"), IsOk()) << "the plan tells it";
  const auto floor = [&](const char* evaluation, const char* metric) {
    return CheckMeasured({.floors = {{.evaluation = evaluation, .metric = metric, .at_least = 0}}}, {text, choices},
                         "c");
  };
  EXPECT_THAT(floor("1", "acc"), IsOk());
  EXPECT_THAT(floor("2", "acc"), FailsAt("c.floors[0].evaluation"));
  EXPECT_THAT(floor("", "acc"), FailsAt("c.floors[0].evaluation"));
  EXPECT_THAT(floor("99999999999999999999", "acc"), FailsAt("c.floors[0].evaluation"));
  EXPECT_THAT(floor("text", "acc"), FailsAt("c.floors[0].metric"));
}

TEST(QualityContract, TwoEvaluationsOfOneNameAreToldApartByIndexAlone) {
  const std::vector<std::string> titles = {"text", "text", "0"};
  EXPECT_EQ(EvaluationIndex("text", titles), std::nullopt);
  EXPECT_EQ(EvaluationIndex("1", titles), 1U);
  EXPECT_EQ(EvaluationIndex("0", titles), 2U) << "a name goes before an index";
}

TEST(CheckContract, AValueThatEqualsItsBoundMeetsIt) { EXPECT_TRUE(CheckContract(Whole(), Exactly()).empty()); }

TEST(CheckContract, EveryMissedBoundIsToldWithValueAndLimit) {
  QualityMeasures measures = Exactly();
  measures.bits = 4.75;
  measures.evaluations[0].metrics = {{"perplexity", 0.5}, {"mean_kl", 0.25}, {"same_top1", 0.75}};
  measures.evaluations[1].metrics[0].value = 0.125;
  EXPECT_EQ(Missed(Whole(), measures),
            (std::vector<std::string>{"max_mean_kl", "min_same_top1", "max_bits", "floors[0]", "floors[1]"}));
  const std::string text = MissesText(CheckContract(Whole(), measures));
  EXPECT_THAT(text, HasSubstr("max_mean_kl: mean_kl of text is 0.25, the limit is at most 0.1; "));
  EXPECT_THAT(text, HasSubstr("max_bits: bits per weight of the model is 4.75, the limit is at most 4.5"));
  EXPECT_THAT(text, HasSubstr("floors[1]: perplexity of 0 is 0.5, the limit is at least 1"));
}

TEST(CheckContract, MeanKlAndSameTop1BindEveryEvaluationThatGivesThem) {
  QualityMeasures measures = Exactly();
  measures.evaluations[1].metrics[1].value = 0.2;
  const auto misses = CheckContract({.max_mean_kl = 0.1}, measures);
  ASSERT_EQ(misses.size(), 1U);
  EXPECT_EQ(misses[0].what, "mean_kl of mmlu");
}

TEST(CheckContract, WhatWasNotMeasuredOrIsNoNumberMissesItsBound) {
  EXPECT_EQ(Missed(Whole(), {}), (std::vector<std::string>{"max_mean_kl", "min_same_top1", "max_bits", "floors[0]",
                                                           "floors[1]", "floors[1]"}));
  EXPECT_THAT(MissesText(CheckContract({.max_bits = 4}, {})),
              HasSubstr("max_bits: bits per weight of the model was not measured, the limit is at most 4"));
  for (const double value : {std::nan(""), kInfinity}) {
    EXPECT_EQ(CheckContract({.max_mean_kl = 1e6}, {.bits = {}, .evaluations = {{"text", {{"mean_kl", value}}}}}).size(),
              1U);
  }
}

TEST(QualityGate, SurvivesItsJsonAndHolds) {
  const std::string json = QualityGateJson({Whole(), Exactly()});
  const auto gate = ParseQualityGate(json);
  ASSERT_THAT(gate, IsOk());
  EXPECT_EQ(QualityGateJson(*gate), json);
  EXPECT_THAT(CheckStoredGate(json), IsOk());
  EXPECT_THAT(CheckStoredGate(""), IsOk()) << "no gate";
}

TEST(QualityGate, AnAlteredOneDoesNotHold) {
  const auto altered = [](const std::function<void(nlohmann::json&)>& alter) {
    nlohmann::json gate = nlohmann::json::parse(QualityGateJson({Whole(), Exactly()}));
    alter(gate);
    return CheckStoredGate(gate.dump());
  };
  const auto stricter = altered([](auto& gate) { gate["contract"]["max_mean_kl"] = 0.05; });
  EXPECT_THAT(stricter, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(stricter.message()), HasSubstr("max_mean_kl: mean_kl of text is 0.1"));
  EXPECT_THAT(std::string(altered([](auto& gate) { gate.erase("measures"); }).message()),
              HasSubstr("max_mean_kl: mean_kl was not measured"));
  EXPECT_THAT(std::string(altered([](auto& gate) { gate["measures"]["evaluations"].erase(1); }).message()),
              HasSubstr("floors[0]: acc of mmlu was not measured"));
  for (const char* json :
       {"[]", "{}", "{", R"({"contract":7})", R"({"contract":{},"measures":[]})",
        R"({"contract":{},"measures":{"bits":"many"}})", R"({"contract":{},"measures":{"evaluations":[{"name":"a"}]}})",
        R"({"contract":{},"measures":{"evaluations":[{"name":"a","metrics":{"b":"c"}}]}})"}) {
    EXPECT_THAT(CheckStoredGate(json), HasCode(absl::StatusCode::kFailedPrecondition)) << json;
  }
}

TEST(QualityGate, AnInfiniteMeasureIsKept) {
  QualityMeasures measures = Exactly();
  measures.evaluations[0].metrics[0].value = kInfinity;
  const auto gate = ParseQualityGate(QualityGateJson({{.max_bits = 5}, measures}));
  ASSERT_THAT(gate, IsOk());
  EXPECT_EQ(gate->measures.evaluations[0].metrics.size(), 3U);
  EXPECT_THAT(CheckStoredGate(QualityGateJson(*gate)), IsOk()) << "no bound is on it";
}

}  // namespace
}  // namespace gwq
