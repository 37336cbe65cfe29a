// Questions about images, asked of the trained model that ships with the project.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/artifact/import.h"
#include "core/artifact/stored_dataset.h"
#include "core/base/clock.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/evaluation/evaluation.h"
#include "core/io/fault_file_system.h"
#include "core/io/file_system.h"
#include "core/spec/evaluation_metrics.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/golden_model.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::FailsAt;
using testing::IsOk;

constexpr int kSide = 64;

struct Shape {
  const char* colour;
  testing::Rgb rgb;
  std::array<int, 4> box;
};
constexpr std::array kShapes = {Shape{"blue", {0, 0, 255}, {10, 20, 40, 36}},
                                Shape{"red", {255, 0, 0}, {30, 8, 50, 34}}};

std::string Picture(const Shape& shape) {
  return testing::PngFile(kSide, kSide, [&](int x, int y) {
    const auto& [left, top, right, bottom] = shape.box;
    const bool inside = x >= left && x < right && y >= top && y < bottom;
    return inside ? shape.rgb : testing::Rgb{225, 235, 245};
  });
}

// Counts how often each file is read.
class CountingFiles final : public FaultFileSystem {
 public:
  CountingFiles() : FaultFileSystem(LocalFileSystem()) {}
  absl::Status Read(const std::string& path, uint64_t offset, std::span<std::byte> out) override {
    ++reads_[path];
    return FaultFileSystem::Read(path, offset, out);
  }
  // Of the blob with these bytes.
  [[nodiscard]] int Reads(const std::string& bytes) const {
    int count = 0;
    for (const auto& [path, times] : reads_) count += path.ends_with(Sha256Of(bytes).Hex()) ? times : 0;
    return count;
  }
  void Forget() { reads_.clear(); }

 private:
  std::map<std::string, int> reads_;
};

class ImageEvaluationTest : public ::testing::Test {
 protected:
  ImageEvaluationTest() : model_(Import(0)) {}

  // The model with these bits of the high bytes of some weights turned over, and some low ones: 1 puts them a little
  // off, 4 doubles or halves them. 0: the model as it is.
  Digest Import(char damage) {
    testing::UploadBuilder upload(*store_);
    for (const auto& entry : std::filesystem::directory_iterator(testing::GoldenPath("../models/easy-vqa-qwen2-vl"))) {
      const std::string name = entry.path().filename().string();
      if (name == "README.md") continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::ostringstream bytes;
      bytes << in.rdbuf();
      std::string text = bytes.str();
      if (!name.ends_with(".safetensors")) {
        upload.File(name, text);
        continue;
      }
      // Mantissa bits of every third FP16 weight of the last two thirds.
      for (size_t i = text.size() / 6 * 2; damage != 0 && i + 1 < text.size(); i += 6) {
        text[i] ^= 0x60, text[i + 1] ^= damage;
      }
      upload.Safetensors(name, text);
    }
    const auto digest = ImportModel(*store_, upload.Build(), NoProgress());
    EXPECT_THAT(digest, IsOk());
    return digest.value_or(Digest{});
  }

  EvaluationTask Task(EvaluationKind kind, const std::vector<Json>& lines) {
    Manifest upload;
    upload.kind = "dataset";
    const auto add = [&](const std::string& path, const std::string& bytes) {
      upload.files.push_back({path, bytes.size(), PutBlob(*store_, std::as_bytes(std::span(bytes))).value()});
    };
    for (const Shape& shape : kShapes) add(std::string(shape.colour) + ".png", Picture(shape));
    std::string text;
    for (const Json& line : lines) text += line.dump() + "\n";
    add("z.jsonl", text);
    EvaluationTask task;
    task.kind = kind;
    task.max_tokens = 40;
    const auto dataset = ImportDataset(*store_, upload, NoProgress());
    EXPECT_THAT(dataset, IsOk());
    task.dataset = dataset.value_or(Digest{}).Hex();
    return task;
  }
  EvaluationTask Colours(int count) {
    std::vector<Json> lines;
    for (int i = 0; i < count; ++i) {
      const std::string colour = kShapes[static_cast<size_t>(i) % 2].colour;
      lines.push_back({{"question", i % 3 == 0 ? "what shape is in the image?" : "what is the color of the rectangle?"},
                       {"image", colour + ".png"},
                       {"answers", {"Rectangle", colour}}});
    }
    return Task(EvaluationKind::kVqa, lines);
  }

  EvaluationResult Run(const Digest& model, const std::optional<Digest>& reference, const EvaluationTask& task) {
    auto result = RunEvaluation(*store_, model, reference, task, NoProgress());
    EXPECT_THAT(result, IsOk());
    return *std::move(result);
  }
  static double Value(const EvaluationResult& result, std::string_view name) { return result.Find(name)->value; }

  testing::TempFolder folder_;
  CountingFiles files_;
  const std::unique_ptr<BlobStore> store_ = *OpenLocalBlobStore(files_, folder_.path(), SystemClock());
  const Digest model_;
};

TEST_F(ImageEvaluationTest, AnswersAreRightAndTheSameInEveryWave) {
  // A question has about 120 tokens with its image and its answer: these do not fit one cache.
  const EvaluationTask many = Colours(150);
  const EvaluationResult all = Run(model_, std::nullopt, many);
  EXPECT_EQ(all.items, 150);
  EXPECT_EQ(Value(all, "exact_match"), 1.0);
  EvaluationTask few = many;
  few.limit = 6;
  const EvaluationResult first = Run(model_, std::nullopt, few);
  EXPECT_TRUE(all.items_jsonl.starts_with(first.items_jsonl));
  EXPECT_EQ(Json::parse(first.items_jsonl.substr(0, first.items_jsonl.find('\n')))["answer"], "rectangle");
}

TEST_F(ImageEvaluationTest, TheQuestionBehindAFullWaveIsNotPreparedAgain) {
  const EvaluationTask two_waves = Colours(150);
  files_.Forget();
  Run(model_, std::nullopt, two_waves);
  EXPECT_EQ(files_.Reads(Picture(kShapes[0])) + files_.Reads(Picture(kShapes[1])), 150);
}

TEST_F(ImageEvaluationTest, AModelReadsItsOwnAnswersWithoutDivergence) {
  const EvaluationResult same = Run(model_, model_, Colours(9));
  EXPECT_EQ(Value(same, "mean_kl"), 0.0) << "reading an answer gives the logits of giving it, bit for bit";
  EXPECT_EQ(Value(same, "same_answer"), 1.0);
}

std::vector<std::string_view> NamesOf(const EvaluationResult& result) {
  std::vector<std::string_view> names;
  for (const EvaluationMetric& metric : result.metrics) names.push_back(metric.name);
  return names;
}

TEST_F(ImageEvaluationTest, AnswersThatChangedAreKeptAsExamples) {
  const Digest damaged = Import(4);
  const EvaluationResult result = Run(damaged, model_, Colours(60));
  EXPECT_THAT(NamesOf(result), ::testing::ElementsAreArray(MetricsOf(EvaluationKind::kVqa)));
  const auto changed = static_cast<size_t>(std::lround((1 - Value(result, "same_answer")) * 60));
  EXPECT_EQ(result.changed_answers.size(), std::min(changed, kMaxChangedAnswers));
  EXPECT_GT(changed, 0U);
  for (const ChangedAnswer& one : result.changed_answers) {
    EXPECT_NE(one.answer, one.reference_answer);
    EXPECT_THAT(one.question, ::testing::StartsWith("what "));
    const Json line = Json::parse([&] {
      std::istringstream lines(result.items_jsonl);
      std::string text;
      for (int64_t i = 0; i < one.line; ++i) std::getline(lines, text);
      return text;
    }());
    EXPECT_EQ(line["line"], one.line);
    EXPECT_EQ(line["answer"], one.answer);
  }
  EXPECT_TRUE(Run(model_, model_, Colours(9)).changed_answers.empty());
}

TEST_F(ImageEvaluationTest, BoxesLieOnTheShape) {
  std::vector<Json> lines;
  for (const Shape& shape : kShapes) {
    lines.push_back(
        {{"question", "where is the shape?"}, {"image", std::string(shape.colour) + ".png"}, {"box", shape.box}});
  }
  const EvaluationTask task = Task(EvaluationKind::kGrounding, lines);
  const Digest damaged = Import(1);
  const EvaluationResult result = Run(damaged, model_, task);
  EXPECT_THAT(NamesOf(result), ::testing::ElementsAreArray(MetricsOf(EvaluationKind::kGrounding)));
  EXPECT_EQ(Value(result, "accuracy_iou50"), 1.0);
  EXPECT_EQ(Value(result, "malformed"), 0.0);
  // As an own decoding loop found them before evaluations ran on the engine. A result depends neither on threads nor on
  // the instruction set; exp and log of another libm may differ in their last bits.
  EXPECT_NEAR(Value(result, "mean_iou"), 0.99668379468759449, 1e-12);
  EXPECT_NEAR(Value(result, "mean_kl"), 0.00092661873953194592, 1e-12);
}

TEST_F(ImageEvaluationTest, AQuestionThatMarksAnImageIsRefusedAtItsLine) {
  const EvaluationTask task =
      Task(EvaluationKind::kVqa, {{{"question", "a <|image_pad|>"}, {"image", "red.png"}, {"answer", "x"}}});
  EXPECT_THAT(RunEvaluation(*store_, model_, std::nullopt, task, NoProgress()), FailsAt("line 1.question"));
}

TEST_F(ImageEvaluationTest, AQuestionThatIsTooLongIsRefusedWithItsSizeAndTheLimit) {
  std::string question;
  for (int i = 0; i < 50'000; ++i) question += "red shape ";
  const EvaluationTask task =
      Task(EvaluationKind::kVqa, {{{"question", question}, {"image", "red.png"}, {"answer", "x"}}});
  const absl::Status status = RunEvaluation(*store_, model_, std::nullopt, task, NoProgress()).status();
  EXPECT_THAT(status, FailsAt("line 1.question"));
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("500000 bytes and more than 4096 tokens"));
}

}  // namespace
}  // namespace gwq
