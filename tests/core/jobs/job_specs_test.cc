#include <gtest/gtest.h>

#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {
namespace {

TEST(QuantizeJob, SurvivesItsJson) {
  QuantizeJob job{"m", "a", Sha256Of("s"), {}};
  job.recipe.bits = 3;
  job.recipe.calibration.source = CalibrationSource::kTokenIds;
  job.recipe.calibration.token_ids = {1, 2, 3};
  const auto parsed = QuantizeJob::Parse(job.Json());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->recipe, job.recipe);
  EXPECT_EQ(parsed->artifact_id, "a");
}

TEST(QuantizeJob, KeepsItsContractAndIsAsBeforeWithoutOne) {
  QuantizeJob job{"m", "a", Sha256Of("s"), {}};
  EXPECT_EQ(job.Json().find("contract"), std::string::npos);
  EXPECT_TRUE(QuantizeJob::Parse(job.Json())->contract.empty());
  job.contract = {.max_mean_kl = 0.25, .floors = {{.evaluation = "mmlu", .metric = "acc", .at_least = 0.5}}};
  EXPECT_EQ(QuantizeJob::Parse(job.Json())->contract, job.contract);
}

TEST(QuantizeJob, NeedsItsModelItsDatasetsAndItsCalibrationsFileOrDataset) {
  QuantizeJob job{"m", "a", Sha256Of("s"), {}, {EvaluationTask{}, EvaluationTask{}}};
  job.evaluations[1].dataset = Sha256Of("d").Hex();
  EXPECT_EQ(QuantizeJob::Parse(job.Json())->evaluations, job.evaluations);
  job.recipe.calibration.source = CalibrationSource::kFile;
  job.recipe.calibration.blob = Sha256Of("text").Hex();
  EXPECT_EQ(job.Inputs(), (JobInputs{{Sha256Of("s"), Sha256Of("d")}, {Sha256Of("text")}}));
  job.recipe.calibration = {};
  job.recipe.calibration.source = CalibrationSource::kDataset;
  job.recipe.calibration.dataset = Sha256Of("samples").Hex();
  EXPECT_EQ(QuantizeJob::Parse(job.Json())->recipe, job.recipe);
  EXPECT_EQ(job.Inputs(), (JobInputs{{Sha256Of("s"), Sha256Of("d"), Sha256Of("samples")}, {}}));
}

TEST(QuantizeJob, MeasuresWhatItsListSaysBeItNothing) {
  const QuantizeJob job{"m", "a", Sha256Of("s"), {}};
  EXPECT_TRUE(QuantizeJob::Parse(job.Json())->evaluations.empty());
}

// As the release of November 2026 stored them.
std::string OldSpec(const std::string& recipe, const std::string& more = "") {
  return R"({"model":"m","artifact_id":"a","source":")" + Sha256Of("s").Hex() + R"(","recipe":)" + recipe + more + "}";
}

TEST(QuantizeJob, ASpecOfOneVersionAgoMeasuresTheTextThatItsRecipeNames) {
  const auto job = QuantizeJob::Parse(
      OldSpec(R"({"bits":3,"threads":7,"evaluation_text":"some words","evaluation_tokens":64,"evaluation_window":32})",
              R"(,"evaluations":[{"name":"other","kind":"text"}])"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->recipe.bits, 3);
  ASSERT_EQ(job->evaluations.size(), 2U);
  EXPECT_EQ(job->evaluations[0], (EvaluationTask{.text = "some words", .tokens = 64, .window = 32, .threads = 7}));
  EXPECT_EQ(job->evaluations[1].name, "other");
  EXPECT_EQ(QuantizeJob::Parse(job->Json())->evaluations, job->evaluations) << "stored again, it says the same";
}

TEST(QuantizeJob, ASpecOfOneVersionAgoWithoutTokensMeasuresNoText) {
  const std::string recipe = R"({"evaluation_text":"","evaluation_tokens":0,"evaluation_window":512})";
  EXPECT_TRUE(QuantizeJob::Parse(OldSpec(recipe))->evaluations.empty());
  EXPECT_EQ(QuantizeJob::Parse(OldSpec(recipe, R"(,"evaluations":[{"kind":"text"}])"))->evaluations.size(), 1U);
}

TEST(EvaluateJob, NeedsWhatItMeasuresItsReferenceAndItsDataset) {
  EvaluateJob job;
  job.source = Sha256Of("source");
  job.task.kind = EvaluationKind::kChoices;
  job.task.dataset = Sha256Of("dataset").Hex();
  EXPECT_EQ(EvaluateJob::Parse(job.Json())->task, job.task);
  EXPECT_FALSE(EvaluateJob::Parse(job.Json())->reference_source.has_value());
  job.reference_source = Sha256Of("reference");
  EXPECT_EQ(EvaluateJob::Parse(job.Json())->reference_source, Sha256Of("reference"));
  EXPECT_EQ(job.Inputs().manifests,
            (std::vector<Digest>{Sha256Of("source"), Sha256Of("reference"), Sha256Of("dataset")}));
}

TEST(ImportJob, MakesAModelOrADataset) {
  const auto product = [](const ImportJob& job) { return job.Product().kind + "/" + job.Product().id; };
  EXPECT_EQ(product({"u", "m", Sha256Of("i")}), "model/m");
  EXPECT_EQ(product(*ImportJob::Parse(ImportJob{"u", "d", Sha256Of("i"), true}.Json())), "dataset/d");
}

TEST(JobSpecs, MissingAndMalformedFieldsAreNamed) {
  EXPECT_EQ(FieldViolations(ImportJob::Parse("{}").status())[0].field, "spec.upload");
  EXPECT_EQ(FieldViolations(QuantizeJob::Parse(R"({"model":"m","artifact_id":1})").status())[0].field,
            "spec.artifact_id");
  EXPECT_EQ(FieldViolations(ImportJob::Parse(R"({"upload":"u","model_id":"m","manifest":"x"})").status())[0].field,
            "spec.manifest");
  EXPECT_FALSE(ExportJob::Parse("[]").ok());
}

TEST(ResourceIds, AreShortAndPlain) {
  for (const char* good : {"a", "0", "smollm2-4bit", "a.b_c-d"})
    EXPECT_TRUE(CheckResourceId("name", good).ok()) << good;
  for (const std::string& bad : {std::string(), std::string("-a"), std::string("A"), std::string("a/b"),
                                 std::string(".."), std::string(64, 'a'), std::string("a\0b", 3)}) {
    EXPECT_EQ(FieldViolations(CheckResourceId("name", bad))[0].field, "name") << bad;
  }
}

}  // namespace
}  // namespace gwq
