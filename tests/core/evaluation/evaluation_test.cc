// Evaluations of stored models: what they find, store and refuse.
#include "core/evaluation/evaluation.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "core/artifact/stored_dataset.h"
#include "core/backend/cpu/cpu_backend.h"
#include "core/base/clock.h"
#include "core/evaluation/choice_walk.h"
#include "core/evaluation/memory.h"
#include "core/io/fault_file_system.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/prompt/choices.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using testing::IsOk;
using testing::StoredGolden;
using testing::StripedPng;

constexpr char kModel[] = "llama-tied-f16-v4";
constexpr char kOther[] = "qwen2-tied-bf16-v5";
constexpr char kLines[] = R"({"context":"w1 w2 w3","choices":["w4 w5","w6","w7 w8 w9"],"answer":0})"
                          "\n"
                          R"({"context":"","choices":["w10","w11"],"answer":1})"
                          "\n"
                          R"({"context":"w9 w8 ","choices":["w30 w31","w32 w33"],"answer":"w32 w33"})"
                          "\n";

Manifest DatasetManifest(BlobStore& store, const std::map<std::string, std::string>& files) {
  Manifest manifest;
  manifest.kind = "dataset";
  for (const auto& [path, bytes] : files) {
    manifest.files.push_back({path, bytes.size(), PutBlob(store, std::as_bytes(std::span(bytes))).value()});
  }
  return manifest;
}

Digest Dataset(BlobStore& store, const std::map<std::string, std::string>& files) {
  const auto digest = ImportDataset(store, DatasetManifest(store, files), NoProgress());
  EXPECT_THAT(digest, IsOk());
  return digest.value_or(Digest{});
}

EvaluationTask Choices(const Digest& dataset) {
  EvaluationTask task;
  task.kind = EvaluationKind::kChoices;
  task.dataset = dataset.Hex();
  return task;
}

double Value(const EvaluationResult& result, std::string_view name) {
  const EvaluationMetric* const metric = result.Find(name);
  EXPECT_NE(metric, nullptr) << name;
  return metric == nullptr ? NAN : metric->value;
}

// The same by the tokens themselves.
std::vector<std::vector<double>> Expected(StoredGolden& golden) {
  const auto model = golden.Open(golden.digest());
  const auto backend = *CreateCpuBackend({1, std::nullopt});
  const auto loader = MakeWeightLoader(*model, *backend);
  std::vector<ChoicePrompt> prompts(3);
  prompts[0].tokens = {1, 2, 3};
  prompts[0].choices = {{4, 5}, {6}, {7, 8, 9}};
  // Neither a beginning nor an end of text is known: token 0.
  prompts[1].tokens = {model->model()->config().eos_token_ids.empty() ? 0 : model->model()->config().eos_token_ids[0]};
  prompts[1].choices = {{10}, {11}};
  prompts[2].tokens = {9, 8};
  prompts[2].choices = {{30, 31}, {32, 33}};
  const auto scores = ScoreChoices(*model->model(), *loader, *backend, prompts, "evaluate", NoProgress());
  EXPECT_THAT(scores, IsOk());
  return *scores;
}

TEST(Evaluation, ChoicesAreScoredAsTheHarnessDefinesThem) {
  StoredGolden golden(kModel);
  const auto result = RunEvaluation(golden.store(), golden.digest(), std::nullopt,
                                    Choices(Dataset(golden.store(), {{"q.jsonl", kLines}})), NoProgress());
  ASSERT_THAT(result, IsOk());
  const auto scores = Expected(golden);
  const std::vector<std::vector<int64_t>> characters = {{5, 2, 8}, {3, 3}, {7, 7}};
  const std::vector<size_t> answers = {0, 1, 1};
  double right = 0, right_norm = 0;
  std::istringstream lines(result->items_jsonl);
  for (size_t i = 0; i < 3; ++i) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    const Json item = Json::parse(line);
    EXPECT_EQ(item["line"], i + 1);
    EXPECT_EQ(item["log_likelihoods"].get<std::vector<double>>(), scores[i]);
    right += BestChoice(scores[i]) == answers[i] ? 1 : 0;
    right_norm += BestChoice(scores[i], characters[i]) == answers[i] ? 1 : 0;
  }
  EXPECT_EQ(result->items, 3);
  EXPECT_DOUBLE_EQ(Value(*result, "acc"), right / 3);
  EXPECT_DOUBLE_EQ(Value(*result, "acc_norm"), right_norm / 3);
  const double p = right / 3;
  EXPECT_NEAR(*result->Find("acc")->standard_error, std::sqrt(p * (1 - p) / 2), 1e-12);
  EXPECT_EQ(result->Find("mean_kl"), nullptr) << "there is no reference";
}

TEST(Evaluation, AReferenceGivesDivergences) {
  StoredGolden golden(kModel);
  const EvaluationTask task = Choices(Dataset(golden.store(), {{"q.jsonl", kLines}}));
  const auto same = RunEvaluation(golden.store(), golden.digest(), golden.digest(), task, NoProgress());
  ASSERT_THAT(same, IsOk());
  EXPECT_EQ(Value(*same, "mean_kl"), 0.0);
  EXPECT_EQ(Value(*same, "same_choice"), 1.0);

  EvaluationTask text;
  text.text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14";
  text.tokens = 12;
  text.window = 6;
  const auto alone = RunEvaluation(golden.store(), golden.digest(), std::nullopt, text, NoProgress());
  ASSERT_THAT(alone, IsOk());
  EXPECT_EQ(alone->items, 10);
  EXPECT_EQ(alone->metrics.size(), 1U);
  const auto against = RunEvaluation(golden.store(), golden.digest(), golden.digest(), text, NoProgress());
  ASSERT_THAT(against, IsOk());
  EXPECT_EQ(Value(*against, "perplexity"), Value(*alone, "perplexity"));
  EXPECT_EQ(Value(*against, "reference_perplexity"), Value(*alone, "perplexity"));
  EXPECT_NEAR(Value(*against, "mean_kl"), 0.0, 1e-12);
  EXPECT_EQ(Value(*against, "same_top1"), 1.0);
}

TEST(Evaluation, ATextMayBeADataset) {
  StoredGolden golden(kOther);
  EvaluationTask task;
  task.text = "w1 w2 w3 w4 w5 w6 w7 w8";
  const auto inlined = RunEvaluation(golden.store(), golden.digest(), std::nullopt, task, NoProgress());
  task.dataset = Dataset(golden.store(), {{"t.txt", task.text}}).Hex();
  task.text.clear();
  const auto stored = RunEvaluation(golden.store(), golden.digest(), std::nullopt, task, NoProgress());
  ASSERT_THAT(stored, IsOk());
  EXPECT_EQ(Value(*stored, "perplexity"), Value(*inlined, "perplexity"));
}

TEST(Evaluation, TheSameTaskGivesTheSameDigestWhateverTheThreads) {
  StoredGolden golden(kModel);
  EvaluationTask task = Choices(Dataset(golden.store(), {{"q.jsonl", kLines}}));
  std::vector<Digest> digests;
  for (const int threads : {1, 2, 3}) {
    task.threads = threads;
    const auto result = RunEvaluation(golden.store(), golden.digest(), golden.digest(), task, NoProgress());
    ASSERT_THAT(result, IsOk());
    digests.push_back(StoreEvaluation(golden.store(), *result).value());
  }
  EXPECT_EQ(digests[0], digests[1]);
  EXPECT_EQ(digests[0], digests[2]);
  task.limit = 2;
  const auto fewer = RunEvaluation(golden.store(), golden.digest(), golden.digest(), task, NoProgress());
  EXPECT_EQ(fewer->items, 2);
  EXPECT_NE(StoreEvaluation(golden.store(), *fewer).value(), digests[0]);

  const auto manifest = ParseManifest(*ReadBlob(golden.store(), digests[0], kMaxManifestBytes));
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->source, golden.digest());
  ASSERT_NE(manifest->FindFile("evaluation.json"), nullptr);
  const Json stored =
      Json::parse(*ReadBlob(golden.store(), manifest->FindFile("evaluation.json")->digest, kMaxSmallFileBytes));
  EXPECT_EQ(stored["metrics"][0]["name"], "acc");
  EXPECT_EQ(stored["task"]["kind"], "choices");
}

TEST(Evaluation, ALongContextIsCutAtItsBeginning) {
  StoredGolden golden(kModel);
  const auto positions = golden.Open(golden.digest())->model()->config().max_positions;
  ASSERT_GT(positions, 0);
  std::string context;
  for (int64_t i = 0; i < positions + 9; ++i) context += (i == 0 ? "w" : " w") + std::to_string(i % 60);
  const auto run = [&](const std::string& text) {
    const Json line = {{"context", text}, {"choices", {"w1 w2", "w3"}}, {"answer", 0}};
    return RunEvaluation(golden.store(), golden.digest(), std::nullopt,
                         Choices(Dataset(golden.store(), {{"q.jsonl", line.dump()}})), NoProgress());
  };
  const auto long_one = run(context);
  ASSERT_THAT(long_one, IsOk());
  EXPECT_EQ(long_one->truncated, 1);
  // One token of the longest choice is predicted and never read.
  size_t at = 0;
  for (int skipped = 0; skipped < 10; ++skipped) at = context.find(' ', at) + 1;
  const auto cut = run(context.substr(at));
  ASSERT_THAT(cut, IsOk());
  EXPECT_EQ(cut->truncated, 0);
  EXPECT_EQ(cut->items_jsonl, long_one->items_jsonl);
}

TEST(Evaluation, FaultsOfTheInputAreNamed) {
  StoredGolden golden(kModel);
  BlobStore& store = golden.store();
  const auto run = [&](const EvaluationTask& task) {
    return RunEvaluation(store, golden.digest(), std::nullopt, task, NoProgress());
  };
  const Digest vqa = Dataset(
      store, {{"q.jsonl", R"({"question":"q","image":"a.png","answer":"a"})"}, {"a.png", StripedPng(24, 16, 1)}});
  EXPECT_THAT(run(Choices(vqa)), FailsAt("line 1.choices"));
  const Digest seen = Dataset(
      store, {{"q.jsonl", std::string(kLines) + R"({"context":"w1","image":"a.png","choices":["w2","w3"],"answer":0})"},
              {"a.png", StripedPng(24, 16, 1)}});
  EXPECT_THAT(run(Choices(seen)), FailsAt("line 4.image"));
  EvaluationTask text;
  text.text = "w1";
  EXPECT_THAT(run(text), FailsAt("task.text"));
  text.text.clear();
  text.dataset = vqa.Hex();
  EXPECT_THAT(run(text), FailsAt("files"));
  const Digest samples = Dataset(store, {{"s.jsonl", std::string(kLines) + R"({"text":"w1 w2"})"
                                                                           "\n"}});
  EXPECT_THAT(run(Choices(samples)), FailsAt("line 4.text")) << "a calibration reads it, an evaluation does not";
  EXPECT_THAT(run(Choices(golden.digest())), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(run(Choices(Sha256Of("nothing"))), HasCode(absl::StatusCode::kNotFound));
  EvaluationTask nothing;
  nothing.kind = EvaluationKind::kChoices;
  EXPECT_THAT(run(nothing), FailsAt("task.dataset"));

  const auto import = [&](const std::map<std::string, std::string>& files) {
    return ImportDataset(store, DatasetManifest(store, files), NoProgress());
  };
  EXPECT_THAT(import({{"q.jsonl", std::string(kLines) + "{\n"}}), FailsAt("line 4"));
  EXPECT_THAT(import({{"q.jsonl", kLines}, {"r.jsonl", kLines}}), FailsAt("files"));
  EXPECT_THAT(import({{"a.png", StripedPng(24, 16, 1)}}), IsOk()) << "an image for a calibration";
  EXPECT_THAT(import({{"a.png", "x"}, {"read.md", "x"}}), FailsAt("files"));
  EXPECT_THAT(import({}), FailsAt("files"));
  EXPECT_THAT(import({{"t.txt", "\xFF"}}), FailsAt("files"));
  EXPECT_THAT(import({{"q.jsonl", kLines}, {"weights.bin", "x"}}), FailsAt("files[1].path"));
  EXPECT_THAT(import({{"q.jsonl", kLines}, {"tool.exe", "x"}}), FailsAt("files[1].path"));
}

TEST(Evaluation, BoxesOfAFamilyWithoutThemAreRefusedBeforeAnythingIsComputed) {
  EvaluationTask task;
  task.kind = EvaluationKind::kGrounding;
  const auto plan = [&](StoredGolden& golden, const std::optional<Digest>& reference) {
    task.dataset = Dataset(golden.store(), {{"q.jsonl", R"({"question":"q","image":"a.png","box":[0,0,1,1]})"},
                                            {"a.png", StripedPng(24, 16, 1)}})
                       .Hex();
    return EvaluationMemory(golden.store(), golden.digest(), reference, task);
  };
  StoredGolden boxless("idefics3-f32-v5", {{"preprocessor_config.json",
                                            R"({"image_processor_type":"Idefics3ImageProcessor",)"
                                            R"("size":{"longest_edge":36},"max_image_size":{"longest_edge":12}})"}});
  EXPECT_THAT(plan(boxless, std::nullopt), FailsAt("task.kind"));
  EXPECT_THAT(RunEvaluation(boxless.store(), boxless.digest(), std::nullopt, task, NoProgress()), FailsAt("task.kind"));
  task.kind = EvaluationKind::kVqa;
  EXPECT_THAT(plan(boxless, boxless.digest()), IsOk()) << "it answers questions";
  task.kind = EvaluationKind::kGrounding;
  StoredGolden boxes("qwen2-vl-tied-f16-v4",
                     {{"preprocessor_config.json", R"({"image_processor_type":"Qwen2VLImageProcessor","patch_size":2,)"
                                                   R"("merge_size":2,"temporal_patch_size":2})"}});
  EXPECT_THAT(plan(boxes, boxes.digest()), IsOk());
  StoredGolden blind(kModel);
  EXPECT_THAT(plan(blind, std::nullopt), HasCode(absl::StatusCode::kFailedPrecondition));
}

class DatasetImport : public ::testing::Test {
 protected:
  DatasetImport() : store_(*OpenLocalBlobStore(files_, folder_.path(), clock_)) {}

  absl::StatusOr<Digest> Import(const std::map<std::string, std::string>& files, Progress& progress = NoProgress()) {
    return ImportDataset(*store_, DatasetManifest(*store_, files), progress);
  }

  const std::string png_ = StripedPng(24, 16, 1);
  const std::string vqa_ = R"({"question":"q","image":"a.png","answer":"a"})";
  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  const std::unique_ptr<BlobStore> store_;
};

TEST_F(DatasetImport, EveryImageThatALineNamesIsDecoded) {
  const std::string other = R"({"question":"q","images":["a.png","b.png"],"answer":"a"})";
  const auto second = [&](const std::string& bytes) {
    return Import({{"q.jsonl", vqa_ + "\n\n" + other}, {"a.png", png_}, {"b.png", bytes}});
  };
  EXPECT_THAT(second(png_), IsOk());
  EXPECT_THAT(second("x"), FailsAt("line 3.image"));
  EXPECT_THAT(second(png_.substr(0, png_.size() - 1)), FailsAt("line 3.image")) << "cut short";
  std::string broken = png_;
  broken[broken.size() / 2] ^= 1;
  EXPECT_THAT(second(broken), FailsAt("line 3.image")) << "its header is whole";
  const std::string large = *ReadSmallFile(
      LocalFileSystem(), std::string(std::getenv("GWQ_SOURCE_DIR")) + "/tests/golden/data/images/100-megapixels.png",
      uint64_t{1} << 24);
  EXPECT_THAT(second(large), FailsAt("line 3.image"));
  EXPECT_THAT(Import({{"q.jsonl", vqa_}, {"b.png", png_}}), FailsAt("line 1.image")) << "not uploaded";
  EXPECT_THAT(Import({{"a.png", png_}, {"b.png", "x"}}), FailsAt("files[1]")) << "images alone";
}

TEST_F(DatasetImport, ALineThatNoEvaluationCouldUseIsNamed) {
  const auto import = [&](const std::string& line) {
    return Import({{"q.jsonl", std::string(kLines) + line}, {"a.png", png_}});
  };
  EXPECT_THAT(import(R"({"context":"c","choices":["a"],"answer":0})"), FailsAt("line 4.choices"));
  EXPECT_THAT(import(R"({"context":"c","choices":["a","b"]})"), FailsAt("line 4.answer"));
  EXPECT_THAT(import(R"({"context":"c","choices":["a","b"],"answer":"c"})"), FailsAt("line 4.answer"));
  EXPECT_THAT(import(R"({"question":"q","answer":"a"})"), FailsAt("line 4.image"));
  EXPECT_THAT(import(R"({"question":"q","image":"a.png"})"), FailsAt("line 4.answer"));
  EXPECT_THAT(import(R"({"image":"a.png","box":[0,0,1,1]})"), FailsAt("line 4.question"));
  EXPECT_THAT(import(R"({"context":"c","choices":["a","b"],"answer":0,"box":[0,0,1,1]})"), FailsAt("line 4.image"));
  EXPECT_THAT(import(R"({"question":"q","image":"a.png","choices":["a","b"],"answers":["c","d"]})"),
              FailsAt("line 4.answer"));
  EXPECT_THAT(import(R"({"question":"q","image":"a.png","choices":["a","b"],"answers":["b","B"]})"), IsOk());
  EXPECT_THAT(import(R"({"question":"q","image":"a.png","box":[0,0,24,16]})"), IsOk());
  EXPECT_THAT(import(R"({"question":"q","image":"a.png","box":[0,0,24.5,16]})"), FailsAt("line 4.box"));
  EXPECT_THAT(import(R"({"question":"q","image":"a.png","box":[0,0,24,17]})"), FailsAt("line 4.box"));
}

// Wants the work to end once this many items are done.
class EndAfter final : public Progress {
 public:
  explicit EndAfter(int64_t items) : items_(items) {}
  void Step(std::string_view phase, int64_t done, int64_t total) override {
    last = fmt::format("{} {}/{}", phase, done, total);
    done_ = done;
  }
  void Log(std::string_view) override {}
  absl::Status Check() override { return done_ < items_ ? absl::OkStatus() : absl::CancelledError("enough"); }

  std::string last;

 private:
  const int64_t items_;
  int64_t done_ = 0;
};

TEST_F(DatasetImport, TellsItsProgressAndEndsWhenAsked) {
  const std::map<std::string, std::string> files = {{"q.jsonl", vqa_ + "\n" + vqa_ + "\n" + vqa_}, {"a.png", png_}};
  EndAfter never(4);
  EXPECT_THAT(Import(files, never), IsOk());
  EXPECT_EQ(never.last, "import 3/3");
  EndAfter second(1);
  EXPECT_THAT(Import(files, second), HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(second.last, "import 1/3");
  EndAfter alone(1);
  EXPECT_THAT(Import({{"a.png", png_}, {"b.png", png_}}, alone), HasCode(absl::StatusCode::kCancelled));
}

TEST(Evaluation, MemoryIsPlannedFromManifestsAlone) {
  StoredGolden golden(kModel);
  const EvaluationTask task = Choices(Dataset(golden.store(), {{"q.jsonl", kLines}}));
  const auto alone = EvaluationMemory(golden.store(), golden.digest(), std::nullopt, task);
  ASSERT_THAT(alone, IsOk());
  EXPECT_GT(*alone, uint64_t{384} << 20);
  EvaluationTask text;
  text.tokens = 100'000;
  const auto held = EvaluationMemory(golden.store(), golden.digest(), std::nullopt, text);
  const auto both = EvaluationMemory(golden.store(), golden.digest(), golden.digest(), text);
  ASSERT_THAT(both, IsOk());
  const auto hidden = static_cast<uint64_t>(golden.Open(golden.digest())->model()->config().hidden_size);
  EXPECT_GE(*both - *held, 100'000 * hidden * 4) << "a reference's states are held too";
  EXPECT_THAT(EvaluationMemory(golden.store(), golden.digest(), std::nullopt, Choices(Sha256Of("nothing"))),
              HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace gwq
