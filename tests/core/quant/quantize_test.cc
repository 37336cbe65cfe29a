// The whole job on tiny models: repeatable, measured on disk, cancellable, and picking what transformers' gradients
// say.
#include "core/quant/job/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/evaluation/evaluation.h"
#include "core/export/export.h"
#include "core/quant/outliers.h"
#include "core/spec/evaluation_metrics.h"
#include "core/spec/quality_gate.h"
#include "tests/support/golden_model.h"
#include "tests/support/report_metrics.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using testing::IsOk;
using testing::StoredGolden;

constexpr char kModel[] = "llama-tied-f16-v4";

// Small groups and enough outliers to show on matrices of 32 columns.
Recipe TinyRecipe() {
  Recipe recipe;
  recipe.bits = 3;
  recipe.group_size = 16;
  recipe.gwq.outlier_ratio = 0.05;
  recipe.threads = 1;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "w1 w5 w9 w33 w2 w40 w41 w7 w63 w12 w12 w3";
  return recipe;
}

std::vector<EvaluationTask> TinyText() {
  return {
      {.text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20", .tokens = 20, .window = 10}};
}

QuantizeResult Quantize(StoredGolden& golden, const Recipe& recipe,
                        const std::vector<EvaluationTask>& evaluations = {}) {
  auto result = QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress(), evaluations);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? *std::move(result) : QuantizeResult{};
}

TEST(Quantize, GivesTheSameDigestInFiveRuns) {
  const Digest first = [] {
    StoredGolden golden(kModel);
    return Quantize(golden, TinyRecipe()).artifact;
  }();
  StoredGolden golden(kModel);
  for (int run = 0; run < 4; ++run) EXPECT_EQ(Quantize(golden, TinyRecipe()).artifact, first);
}

TEST(Quantize, EvaluationIsNoPartOfTheArtifactAndBytesAre) {
  StoredGolden golden(kModel);
  const Digest first = Quantize(golden, TinyRecipe()).artifact;
  Recipe recipe = TinyRecipe();
  EXPECT_EQ(Quantize(golden, recipe, TinyText()).artifact, first);
  recipe.bits = 4;
  EXPECT_NE(Quantize(golden, recipe).artifact, first);
}

TEST(Quantize, BytesOnDiskGiveTheReportsBitsPerWeight) {
  for (const std::string& name : testing::GoldenModelNames()) {
    StoredGolden golden(name);
    const QuantizeResult result = Quantize(golden, TinyRecipe());
    const auto artifact = golden.Open(result.artifact);
    ASSERT_NE(artifact, nullptr);
    uint64_t bytes = 0, weights = 0, matrix_bytes = 0, matrix_weights = 0;
    for (const TensorSpec& spec : artifact->model()->tensors()) {
      const uint64_t size = std::filesystem::file_size(golden.BlobPath(artifact->Find(spec.name)->digest));
      const auto count = static_cast<uint64_t>(*ElementCount(spec.shape));
      bytes += size;
      weights += count;
      if (spec.kind != TensorKind::kLinear) continue;
      matrix_bytes += size;
      matrix_weights += count;
    }
    const Json report = Json::parse(result.report_json);
    EXPECT_EQ(report["total_bytes"], bytes);
    EXPECT_EQ(report["quantized_bytes"], matrix_bytes);
    EXPECT_DOUBLE_EQ(report["model_bits_per_weight"], static_cast<double>(bytes) * 8 / static_cast<double>(weights));
    EXPECT_DOUBLE_EQ(report["matrix_bits_per_weight"],
                     static_cast<double>(matrix_bytes) * 8 / static_cast<double>(matrix_weights));
    const auto source = golden.Open(golden.digest());
    const auto plan = PlanQuantization(*source->model(), source->manifest(), TinyRecipe());
    ASSERT_THAT(plan, IsOk());
    EXPECT_EQ(plan->total_bytes, bytes);
    EXPECT_EQ(plan->quantized_bytes, matrix_bytes);
    EXPECT_THAT(artifact->Verify(NoProgress()), IsOk());
  }
}

// Tolerance: positions whose scores differ by less than LibTorch's and transformers' rounding may change places.
TEST(Quantize, ATargetIsMetFromBelowAndRulesKeepTheirWord) {
  StoredGolden golden(kModel);
  Recipe recipe = TinyRecipe();
  recipe.target.bits = 7;
  recipe.rules = {{.pattern = "*.0.*.q_proj", .part = "", .kind = "", .method = {}, .bits = 3}};
  const Json report = Json::parse(Quantize(golden, recipe).report_json);
  EXPECT_LE(report["matrix_bits_per_weight"].get<double>(), 7);
  EXPECT_GT(report["matrix_bits_per_weight"].get<double>(), 6.5) << "fourteen small matrices are coarse";
  std::set<int> bits;
  for (const Json& module : report["modules"]) {
    if (module["tensor"] == "model.layers.0.self_attn.q_proj.weight") {
      EXPECT_EQ(module["bits"], 3);
    } else if (module["tensor"].get<std::string>().ends_with("_proj.weight")) {
      bits.insert(module["bits"].get<int>());
    }
  }
  EXPECT_GT(bits.size(), 1U) << "not all matrices are worth the same";
}

TEST(Quantize, OutliersAreThoseOfTransformersGradients) {
  for (const std::string& name : testing::GoldenModelNamesWithGradients()) {
    for (const Loss loss : {Loss::kLast, Loss::kAll}) {
      const auto reference = testing::GoldenModel::Load(name);
      ASSERT_THAT(reference, IsOk());
      StoredGolden golden(name);
      Recipe recipe = TinyRecipe();
      recipe.gwq.loss = loss;
      recipe.calibration = {};
      recipe.calibration.source = CalibrationSource::kTokenIds;
      recipe.calibration.token_ids = reference->Tokens("a");
      const auto artifact = golden.Open(Quantize(golden, recipe).artifact);
      ASSERT_NE(artifact, nullptr);
      int64_t equal = 0, total = 0;
      for (const TensorSpec& spec : artifact->model()->tensors()) {
        if (spec.kind != TensorKind::kLinear) continue;
        const std::string key = std::string("gradient.") + (loss == Loss::kLast ? "last." : "all.") + spec.name;
        const std::vector<float> gradient = reference->Floats(key);
        ASSERT_FALSE(gradient.empty()) << key;
        const auto expected = LargestScores(
            gradient, OutlierCount(recipe.gwq.outlier_ratio, static_cast<int64_t>(gradient.size())), spec.name);
        const std::set<int64_t> wanted(expected->begin(), expected->end());
        const auto packed = artifact->Packed(spec.name);
        ASSERT_THAT(packed, IsOk());
        packed->view.ForEachOutlier([&](const PackedView::Outlier& outlier) {
          equal += wanted.contains(outlier.row * spec.shape[1] + outlier.col) ? 1 : 0;
          ++total;
        });
      }
      EXPECT_GT(total, 0);
      EXPECT_GE(static_cast<double>(equal), 0.995 * static_cast<double>(total)) << name;
    }
  }
}

TEST(Quantize, KeepingEverythingLosesNothing) {
  StoredGolden golden("qwen2-tied-bf16-v5");
  Recipe recipe = TinyRecipe();
  recipe.method = Method::kKeep;
  recipe.embedding_bits = 16;
  const Json report = Json::parse(Quantize(golden, recipe, TinyText()).report_json);
  const testing::ReportMetrics metrics(report, 0);
  EXPECT_EQ(metrics.Before("perplexity"), metrics.After("perplexity"));
  EXPECT_NEAR(metrics.After("mean_kl"), 0.0, 1e-12);
  EXPECT_EQ(metrics.After("same_top1"), 1.0);
  EXPECT_EQ(report["model_bits_per_weight"], 16.0);
  EXPECT_TRUE(report["modules"].empty());
}

TEST(Quantize, EverySourceOfASampleWorks) {
  StoredGolden golden(kModel);
  const std::string text = TinyRecipe().calibration.text;
  const auto blob = PutBlob(golden.store(), std::as_bytes(std::span(text)));
  ASSERT_THAT(blob, IsOk());
  Recipe recipe = TinyRecipe();
  const Digest by_text = Quantize(golden, recipe).artifact;
  recipe.calibration = {};
  recipe.calibration.source = CalibrationSource::kFile;
  recipe.calibration.blob = blob->Hex();
  const Json from_file = Json::parse(Quantize(golden, recipe).report_json);
  EXPECT_EQ(from_file["calibration_tokens"], 12);
  recipe.calibration = {};
  recipe.calibration.max_tokens = 9;
  const QuantizeResult generated = Quantize(golden, recipe);
  EXPECT_EQ(Json::parse(generated.report_json)["calibration_tokens"], 9);
  EXPECT_NE(generated.artifact, by_text);
  EXPECT_EQ(Quantize(golden, recipe).artifact, generated.artifact);
}

TEST(Quantize, AChatIsCalibratedAsTheTextThatItsTemplateMakes) {
  StoredGolden golden(kModel,
                      {{"chat_template.jinja",
                        "{% for message in messages %}{{ message.role + ' ' + message.content + ' ' }}{% endfor %}"
                        "{% if add_generation_prompt %}w60{% endif %}"}});
  Recipe recipe = TinyRecipe();
  recipe.calibration.text = "user w1 w5 w9 w33 assistant w2 w40 w41 w7";
  const auto by_text = golden.Open(Quantize(golden, recipe).artifact);
  recipe.calibration = {};
  recipe.calibration.source = CalibrationSource::kChat;
  recipe.calibration.messages = {{"user", "w1 w5 w9 w33"}, {"assistant", "w2 w40 w41 w7"}};
  const QuantizeResult result = Quantize(golden, recipe);
  EXPECT_EQ(Json::parse(result.report_json)["calibration_tokens"], 10);
  const auto by_chat = golden.Open(result.artifact);
  for (const TensorSpec& spec : by_chat->model()->tensors()) {
    EXPECT_EQ(by_chat->Find(spec.name)->digest, by_text->Find(spec.name)->digest) << spec.name;
  }
}

TEST(Quantize, RefusesSamplesThatCannotBeUsed) {
  StoredGolden golden(kModel);
  const auto run = [&](Calibration calibration) {
    Recipe recipe = TinyRecipe();
    recipe.calibration = std::move(calibration);
    return QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress());
  };
  Calibration calibration;
  calibration.source = CalibrationSource::kText;
  calibration.text = "w3";
  EXPECT_THAT(run(calibration), FailsAt("recipe.calibration.text"));
  calibration = {};
  calibration.source = CalibrationSource::kTokenIds;
  calibration.token_ids = {1, 2, 64};
  EXPECT_THAT(run(calibration), FailsAt("recipe.calibration.token_ids[2]"));
  calibration = {};
  calibration.source = CalibrationSource::kChat;
  calibration.messages = {{"user", "w1 w2"}};
  EXPECT_THAT(run(calibration), FailsAt("recipe.calibration.source"));
  calibration = {};
  calibration.source = CalibrationSource::kFile;
  calibration.blob = std::string(64, 'a');
  EXPECT_THAT(run(calibration), HasCode(absl::StatusCode::kNotFound));
  const std::string noise = "\xFF\xFE w1 w2";
  calibration.blob = PutBlob(golden.store(), std::as_bytes(std::span(noise)))->Hex();
  EXPECT_THAT(run(calibration), FailsAt("recipe.calibration.blob"));
}

TEST(Quantize, RefusesAnArtifact) {
  StoredGolden golden(kModel);
  const Digest artifact = Quantize(golden, TinyRecipe()).artifact;
  EXPECT_THAT(QuantizeModel(golden.store(), artifact, TinyRecipe(), NoProgress()),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

// Cancels at the n-th question.
class CancelAfter final : public Progress {
 public:
  explicit CancelAfter(int checks) : left_(checks) {}
  void Step(std::string_view phase, int64_t done, int64_t total) override {
    EXPECT_LE(done, total);
    EXPECT_TRUE(phase != phase_ || done >= done_) << phase;
    phase_ = phase;
    done_ = done;
  }
  void Log(std::string_view) override {}
  absl::Status Check() override { return left_-- > 0 ? absl::OkStatus() : absl::CancelledError("asked for"); }
  int left() const { return left_; }

 private:
  int left_;
  std::string phase_;
  int64_t done_ = 0;
};

TEST(Quantize, CancelsAtEveryStep) {
  StoredGolden golden(kModel);
  CancelAfter never(1'000'000);
  ASSERT_THAT(QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), never, TinyText()), IsOk());
  const int checks = 1'000'000 - never.left();
  EXPECT_GT(checks, 40);
  for (int at = 0; at < checks; at += 3) {
    CancelAfter progress(at);
    EXPECT_THAT(QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), progress, TinyText()),
                HasCode(absl::StatusCode::kCancelled));
  }
}

TEST(Quantize, ReportSaysWhatItsPageLists) {
  StoredGolden golden(kModel);
  const QuantizeResult result = Quantize(golden, TinyRecipe(), TinyText());
  std::ifstream file(std::string(std::getenv("GWQ_SOURCE_DIR")) + "/docs/report.md");
  std::ostringstream page;
  page << file.rdbuf();
  const Json report = Json::parse(result.report_json);
  const auto listed = [&](const std::string& prefix, const Json& object) {
    for (const auto& [key, value] : object.items()) {
      EXPECT_NE(page.str().find("`" + prefix + key + "`"), std::string::npos) << prefix << key;
    }
  };
  listed("", report);
  listed("evaluations[].", report["evaluations"][0]);
  for (const Json& metric : report["evaluations"][0]["metrics"]) listed("", {{metric["name"], 0}});
  listed("environment.", report["environment"]);
  for (const Json& module : report["modules"]) listed("modules[].", module);
  for (const Json& part : report["parts"]) listed("parts[].", part);
  listed("phases[].", report["phases"][0]);
  for (const Json& block : report["blocks"]) listed("blocks[].", block);
  listed("kl_by_position[].", report["evaluations"][0]["kl_by_position"][0]);
  EXPECT_NE(result.report_markdown.find("| whole model |"), std::string::npos);
  EXPECT_NE(result.report_markdown.find("model.layers.1.mlp.down_proj.weight"), std::string::npos);
}

absl::StatusOr<QuantizeResult> QuantizeUnder(StoredGolden& golden, const QualityContract& contract,
                                             Progress& progress = NoProgress()) {
  return QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), progress, TinyText(), nullptr, nullptr, contract);
}

TEST(QuantizeContract, WhatMeetsItHasItInItsManifestWithWhatWasMeasured) {
  StoredGolden golden(kModel);
  const QualityContract contract{.max_mean_kl = 1e3, .max_bits = 16};
  const auto result = QuantizeUnder(golden, contract);
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->misses.empty());
  const auto artifact = golden.Open(result->artifact);
  ASSERT_NE(artifact, nullptr);
  const auto gate = ParseQualityGate(artifact->manifest().quality_json);
  ASSERT_THAT(gate, IsOk());
  EXPECT_EQ(gate->contract, contract);
  const Json report = Json::parse(result->report_json);
  EXPECT_EQ(gate->measures.bits, report["model_bits_per_weight"].get<double>());
  ASSERT_EQ(gate->measures.evaluations.size(), 1U);
  EXPECT_EQ(gate->measures.evaluations[0].name, "text");
  EXPECT_EQ(gate->measures.evaluations[0].metrics.size(), MetricsOf(EvaluationKind::kText).size());
  EXPECT_THAT(CheckStoredGate(artifact->manifest().quality_json), IsOk());
  EXPECT_EQ(report["artifact"], result->artifact.Hex());
  EXPECT_EQ(QuantizeUnder(golden, contract)->artifact, result->artifact) << "the same each time";
  const auto ungated = golden.Open(Quantize(golden, TinyRecipe(), TinyText()).artifact);
  EXPECT_NE(ungated->digest(), artifact->digest());
  EXPECT_TRUE(ungated->manifest().quality_json.empty());
  for (const TensorSpec& spec : artifact->model()->tensors()) {
    EXPECT_EQ(artifact->Find(spec.name)->digest, ungated->Find(spec.name)->digest) << "no weight differs";
  }
}

TEST(QuantizeContract, WhatMissesItIsToldWithTheReportAndHasNoGate) {
  StoredGolden golden(kModel);
  const auto result = QuantizeUnder(
      golden, {.max_mean_kl = 0, .floors = {{.evaluation = "text", .metric = "perplexity", .at_most = 1}}});
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->misses.size(), 2U);
  EXPECT_EQ(result->misses[0].bound, "max_mean_kl");
  const Json report = Json::parse(result->report_json);
  EXPECT_EQ(report["contract"]["misses"][1]["bound"], "floors[0]");
  EXPECT_EQ(report["contract"]["misses"][1]["value"], report["evaluations"][0]["metrics"][0]["after"]);
  EXPECT_NE(result->report_markdown.find("The quality contract is not met: max_mean_kl: "), std::string::npos);
  EXPECT_TRUE(golden.Open(result->artifact)->manifest().quality_json.empty());
}

TEST(QuantizeContract, BitsAndBoundsOfNothingEndTheJobBeforeItComputes) {
  StoredGolden golden(kModel);
  CancelAfter progress(0);
  const auto bits = QuantizeUnder(golden, {.max_bits = 2}, progress);
  EXPECT_THAT(bits, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_NE(bits.status().message().find("contract.max_bits: bits per weight of the model is "), std::string::npos)
      << bits.status();
  EXPECT_THAT(
      QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), progress, {}, nullptr, nullptr, {.max_mean_kl = 1}),
      FailsAt("contract.max_mean_kl"));
}

TEST(QuantizeReport, IsTheSameApartFromTimeAndMemory) {
  StoredGolden golden(kModel);
  Recipe recipe = TinyRecipe();
  recipe.method = Method::kTuned;
  recipe.tuned = {.outlier_ratio = 0, .metric_samples = 2, .block_steps = 3, .model_steps = 5};
  const auto without_phases = [&] {
    Json report = Json::parse(Quantize(golden, recipe, TinyText()).report_json);
    report.erase("phases");
    return report.dump();
  };
  EXPECT_EQ(without_phases(), without_phases());
}

TEST(QuantizeReport, TellsWhatEachPartOfTheMethodTunedGained) {
  StoredGolden golden(kModel);
  Recipe recipe = TinyRecipe();
  recipe.method = Method::kTuned;
  recipe.tuned = {.outlier_ratio = 0, .metric_samples = 2, .block_steps = 3, .model_steps = 5};
  const Json report = Json::parse(Quantize(golden, recipe).report_json);
  size_t learned = 0;
  for (const Json& block : report["blocks"]) {
    if (!block.contains("loss_before")) continue;
    ++learned;
    EXPECT_GT(block["loss_before"], 0) << block;
    EXPECT_GT(block["loss_after"], 0) << block;
  }
  EXPECT_EQ(learned, golden.Open(golden.digest())->model()->config().blocks);
  ASSERT_EQ(report["tuning"].size(), 5U);
  EXPECT_EQ(report["tuning"][4]["first_step"], 5);
  EXPECT_GT(report["tuning"][0]["divergence"], 0);
  EXPECT_FALSE(Json::parse(Quantize(golden, TinyRecipe()).report_json).contains("tuning"));
}

TEST(QuantizeReport, TellsTheDivergenceByPosition) {
  StoredGolden golden(kModel);
  const Json report = Json::parse(Quantize(golden, TinyRecipe(), TinyText()).report_json);
  const Json& parts = report["evaluations"][0]["kl_by_position"];
  ASSERT_EQ(parts.size(), 9U) << "a window of ten has nine positions";
  double sum = 0;
  for (const Json& part : parts) sum += part["mean_kl"].get<double>() / 9;
  EXPECT_NEAR(sum, testing::ReportMetrics(report, 0).After("mean_kl"), 1e-12);
}

TEST(QuantizeReport, AKindGivesTheMetricsThatAContractMayName) {
  StoredGolden golden(kModel);
  const Json report = Json::parse(Quantize(golden, TinyRecipe(), TinyText()).report_json);
  std::vector<std::string> names;
  for (const Json& metric : report["evaluations"][0]["metrics"]) names.push_back(metric["name"]);
  EXPECT_THAT(names, ::testing::ElementsAreArray(MetricsOf(EvaluationKind::kText)));
}

TEST(Quantize, EvaluationsStandInOneTable) {
  StoredGolden golden(kModel);
  EvaluationTask text;
  text.name = "words";
  text.text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14";
  EvaluationTask choices;
  choices.kind = EvaluationKind::kChoices;
  const std::string lines = R"({"context":"w1","choices":["w2","w3"],"answer":0})";
  Manifest dataset;
  dataset.kind = "dataset";
  dataset.files = {{"q.jsonl", lines.size(), *PutBlob(golden.store(), std::as_bytes(std::span(lines)))}};
  const std::string manifest = ManifestJson(dataset);
  choices.dataset = PutBlob(golden.store(), std::as_bytes(std::span(manifest)))->Hex();
  CancelAfter progress(1'000'000);
  const auto result = QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), progress, {text, choices});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->artifact, Quantize(golden, TinyRecipe()).artifact) << "they change no byte of it";
  const Json evaluations = Json::parse(result->report_json)["evaluations"];
  ASSERT_EQ(evaluations.size(), 2U);
  EXPECT_EQ(evaluations[0]["name"], "words");
  EXPECT_EQ(evaluations[0]["metrics"][0]["name"], "perplexity");
  EXPECT_NE(evaluations[0]["metrics"][0]["before"], evaluations[0]["metrics"][0]["after"]);
  EXPECT_EQ(evaluations[0]["metrics"].size(), 4U) << "the reference's perplexity is the model's, and told once";
  const auto alone = RunEvaluation(golden.store(), golden.digest(), std::nullopt, text, NoProgress());
  EXPECT_EQ(evaluations[0]["metrics"][0]["before"], alone->Find("perplexity")->value);
  EXPECT_EQ(evaluations[0]["task"], EvaluationTaskJson(text));
  std::vector<std::string> names;
  for (const Json& metric : evaluations[1]["metrics"]) names.push_back(metric["name"]);
  EXPECT_THAT(names, ::testing::ElementsAreArray(MetricsOf(EvaluationKind::kChoices)));
  EXPECT_NE(result->report_markdown.find("| words (13) | perplexity |"), std::string::npos);
  choices.dataset.clear();
  EXPECT_THAT(QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), NoProgress(), {text, choices}),
              FailsAt("evaluations[1].dataset"));
}

TEST(Quantize, ATextThatCannotBeMeasuredIsRefusedBeforeTheWork) {
  StoredGolden golden(kModel);
  CancelAfter progress(1);
  EXPECT_THAT(QuantizeModel(golden.store(), golden.digest(), TinyRecipe(), progress, {{.text = "w1"}}),
              FailsAt("evaluations[0].text"));
}

TEST(Quantize, ThePlannedMemoryOfTheReportIsThatOfTheEvaluationsToo) {
  StoredGolden golden(kModel);
  const auto planned = [&](const std::vector<EvaluationTask>& evaluations) {
    return Json::parse(Quantize(golden, TinyRecipe(), evaluations).report_json)["planned_memory_bytes"];
  };
  EXPECT_GT(planned({{.text = TinyText()[0].text, .tokens = 1'000'000}}), planned({}));
}

TEST(Export, HoldsTheDequantizedMatricesInFp16) {
  for (const std::string& name : testing::GoldenModelNames()) {
    StoredGolden golden(name);
    const auto artifact = golden.Open(Quantize(golden, TinyRecipe()).artifact);
    const auto exported = ExportArtifact(golden.store(), artifact->digest(), {}, NoProgress());
    ASSERT_THAT(exported, IsOk());
    const auto model = golden.Open(exported->model);
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model->manifest().kind, "model");
    const Json config = Json::parse(*model->ReadFile("config.json"));
    ASSERT_TRUE(config.contains("torch_dtype")) << name;
    EXPECT_EQ(config["torch_dtype"], "float16");
    EXPECT_EQ(config.value("dtype", "float16"), "float16") << "where transformers 5 wrote it, it says the same";
    for (const TensorSpec& spec : model->model()->tensors()) {
      const auto dense = model->Dense(spec.name);
      ASSERT_THAT(dense, IsOk());
      EXPECT_EQ(dense->view.type, DType::kF16);
      std::vector<float> expected(static_cast<size_t>(dense->view.elements()));
      if (artifact->Find(spec.name)->packed) {
        artifact->Packed(spec.name)->view.DequantizeAll(expected);
      } else {
        ToFloat(artifact->Dense(spec.name)->view, 0, expected);
      }
      std::vector<float> got(expected.size());
      ToFloat(dense->view, 0, got);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], HalfToFloat(FloatToHalf(expected[i]))) << spec.name;
    }
  }
}

}  // namespace
}  // namespace gwq
