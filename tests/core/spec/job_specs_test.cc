#include "core/spec/job_specs.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace gwq {
namespace {

TEST(Specs, SurviveTheirJson) {
  QuantizeJob quantize{"m", "a", Sha256Of("s"), {}};
  quantize.recipe.bits = 3;
  quantize.recipe.calibration.source = CalibrationSource::kTokenIds;
  quantize.recipe.calibration.token_ids = {1, 2, 3};
  const auto parsed = ParseQuantizeJob(SpecJson(quantize));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->recipe, quantize.recipe);
  EXPECT_EQ(parsed->artifact_id, "a");
  EXPECT_EQ(ManifestsOfSpec(SpecJson(quantize)), std::vector<Digest>{Sha256Of("s")});
  const ImportJob import{"u", "m", Sha256Of("i")};
  EXPECT_EQ(ParseImportJob(SpecJson(import))->manifest, import.manifest);
  EXPECT_EQ(ManifestsOfSpec(SpecJson(import)), std::vector<Digest>{Sha256Of("i")});
  const ExportJob exported{"a", "m", "hf-fp16", Sha256Of("e")};
  EXPECT_EQ(ParseExportJob(SpecJson(exported))->format, "hf-fp16");
}

TEST(Specs, EvaluationsNameEveryManifestTheyNeed) {
  EvaluateJob evaluate;
  evaluate.target = "artifacts/a";
  evaluate.evaluation_id = "e";
  evaluate.source = Sha256Of("source");
  evaluate.task.kind = EvaluationKind::kChoices;
  evaluate.task.dataset = Sha256Of("dataset").Hex();
  auto parsed = ParseEvaluateJob(SpecJson(evaluate));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->task, evaluate.task);
  EXPECT_FALSE(parsed->reference_source.has_value());
  evaluate.reference = "models/m";
  evaluate.reference_source = Sha256Of("reference");
  const std::string spec = SpecJson(evaluate);
  EXPECT_EQ(ParseEvaluateJob(spec)->reference_source, Sha256Of("reference"));
  EXPECT_EQ(ManifestsOfSpec(spec),
            (std::vector<Digest>{Sha256Of("source"), Sha256Of("reference"), Sha256Of("dataset")}));
  QuantizeJob quantize{"m", "a", Sha256Of("s"), {}, {EvaluationTask{}, evaluate.task}};
  EXPECT_EQ(ParseQuantizeJob(SpecJson(quantize))->evaluations, quantize.evaluations);
  EXPECT_EQ(ManifestsOfSpec(SpecJson(quantize)), (std::vector<Digest>{Sha256Of("s"), Sha256Of("dataset")}));
}

TEST(Specs, TellWhatTheyMake) {
  const auto product = [](std::string_view kind, const std::string& spec) {
    const JobProduct made = ProductOf(kind, spec).value();
    return made.kind + "/" + made.id;
  };
  EXPECT_EQ(product("import", SpecJson(ImportJob{"u", "m", Sha256Of("i")})), "model/m");
  EXPECT_EQ(product("import", SpecJson(ImportJob{"u", "d", Sha256Of("i"), true})), "dataset/d");
  EXPECT_EQ(product("quantize", SpecJson(QuantizeJob{"m", "a", Sha256Of("s"), {}})), "artifact/a");
  EXPECT_EQ(product("export", SpecJson(ExportJob{"a", "m", "hf-fp16", Sha256Of("e")})), "model/m");
  EXPECT_EQ(product("evaluate", SpecJson(EvaluateJob{"models/m", "e", Sha256Of("s"), "", {}, {}})), "evaluation/e");
  EXPECT_FALSE(ProductOf("quantize", "{}").ok());
}

TEST(Specs, ACalibrationFileIsKept) {
  QuantizeJob quantize{"m", "a", Sha256Of("s"), {}};
  quantize.recipe.calibration.source = CalibrationSource::kFile;
  quantize.recipe.calibration.blob = Sha256Of("text").Hex();
  EXPECT_EQ(BlobsOfSpec(SpecJson(quantize)), std::vector<Digest>{Sha256Of("text")});
  EXPECT_TRUE(BlobsOfSpec("not json").empty());
  EXPECT_TRUE(ManifestsOfSpec("[]").empty());
}

TEST(Specs, MissingAndMalformedFieldsAreNamed) {
  EXPECT_EQ(FieldViolations(ParseImportJob("{}").status())[0].field, "spec.upload");
  EXPECT_EQ(FieldViolations(ParseQuantizeJob(R"({"model":"m","artifact_id":1})").status())[0].field,
            "spec.artifact_id");
  EXPECT_FALSE(ParseExportJob("[]").ok());
}

TEST(Specs, ResourceIds) {
  for (const char* good : {"a", "0", "smollm2-4bit", "a.b_c-d"})
    EXPECT_TRUE(CheckResourceId("name", good).ok()) << good;
  for (const std::string& bad : {std::string(), std::string("-a"), std::string("A"), std::string("a/b"),
                                 std::string(".."), std::string(64, 'a'), std::string("a\0b", 3)}) {
    EXPECT_EQ(FieldViolations(CheckResourceId("name", bad))[0].field, "name") << bad;
  }
}

}  // namespace
}  // namespace gwq
