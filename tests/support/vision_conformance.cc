#include "tests/support/vision_conformance.h"

#include <gtest/gtest.h>

#include "core/base/status.h"
#include "tests/support/golden_prompt.h"

namespace gwq::testing {
namespace {

using Chunk = PromptBatches::Chunk;
using Floats = std::vector<float>;

class VisionCheck {
 public:
  VisionCheck(Backend& backend, const LoadedModel& model, const GoldenModel& golden, double tolerance)
      : backend_(backend), model_(model), tolerance_(tolerance) {
    for (const std::string_view which : GoldenPromptNames(golden)) prompts_.push_back(LoadGoldenPrompt(golden, which));
  }

  void Encode() {
    for (const GoldenPrompt& prompt : prompts_) {
      const auto embeddings = EncodeImages(backend_, model_, prompt);
      ASSERT_TRUE(embeddings.ok()) << embeddings.status();
      EXPECT_LE(MaxDifference(*embeddings, prompt.embeddings), tolerance_) << "embeddings";
      embeddings_.push_back(*embeddings);
    }
  }

  // Logits of the batches one after the other, compared with the goldens.
  Floats Run(const std::vector<std::vector<Chunk>>& batches) {
    auto sequences = PromptBatches::Create(backend_, model_, prompts_, embeddings_);
    EXPECT_TRUE(sequences.ok()) << sequences.status();
    Floats all;
    if (!sequences.ok()) return all;
    for (const std::vector<Chunk>& batch : batches) {
      const auto logits = sequences->Feed(batch);
      EXPECT_TRUE(logits.ok()) << logits.status();
      if (!logits.ok()) return all;
      Compare(batch, *logits);
      all.insert(all.end(), logits->begin(), logits->end());
    }
    return all;
  }

  [[nodiscard]] Chunk Whole(size_t prompt) const { return {prompt, 0, prompts_[prompt].rows()}; }
  [[nodiscard]] size_t prompts() const { return prompts_.size(); }
  [[nodiscard]] int64_t rows(size_t prompt) const { return prompts_[prompt].rows(); }

 private:
  void Compare(const std::vector<Chunk>& batch, std::span<const float> logits) {
    const auto vocabulary = static_cast<size_t>(model_.model().config().vocab_size);
    for (const Chunk& chunk : batch) {
      const size_t size = static_cast<size_t>(chunk.end - chunk.begin) * vocabulary;
      const std::span<const float> want = prompts_[chunk.prompt].logits;
      ASSERT_LE(static_cast<size_t>(chunk.begin) * vocabulary + size, want.size());
      EXPECT_LE(MaxDifference(logits.first(size), want.subspan(static_cast<size_t>(chunk.begin) * vocabulary, size)),
                tolerance_)
          << "prompt " << chunk.prompt << " rows " << chunk.begin << " to " << chunk.end;
      logits = logits.subspan(size);
    }
  }

  Backend& backend_;
  const LoadedModel& model_;
  const double tolerance_;
  std::vector<GoldenPrompt> prompts_;
  std::vector<Floats> embeddings_;
};

void LoadAndExpect(Backend& backend, const absl::StatusOr<GoldenModel>& golden, double tolerance, bool bitwise) {
  ASSERT_TRUE(golden.ok()) << golden.status();
  FilesWeightLoader loader(backend, golden->weights);
  const auto model = LoadedModel::Load(golden->model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  ExpectGoldenVision(backend, **model, *golden, tolerance, bitwise);
}

}  // namespace

void ExpectGoldenVision(Backend& backend, const std::string& name, double tolerance, bool bitwise) {
  SCOPED_TRACE(name);
  LoadAndExpect(backend, GoldenModel::Load(name), tolerance, bitwise);
}

void ExpectEasyVqa(Backend& backend, double tolerance, bool bitwise) {
  const std::string folder = GoldenPath("../models/easy-vqa-qwen2-vl");
  LoadAndExpect(backend, GoldenModel::LoadFrom(folder, GoldenPath("easy_vqa.safetensors")), tolerance, bitwise);
}

void ExpectGoldenVision(Backend& backend, const LoadedModel& model, const GoldenModel& golden, double tolerance,
                        bool bitwise) {
  VisionCheck check(backend, model, golden, tolerance);
  check.Encode();
  if (::testing::Test::HasFatalFailure()) return;

  Floats alone;
  std::vector<Chunk> whole;
  for (size_t prompt = 0; prompt < check.prompts(); ++prompt) {
    whole.push_back(check.Whole(prompt));
    const Floats logits = check.Run({{whole.back()}});
    alone.insert(alone.end(), logits.begin(), logits.end());
  }
  const Floats together = check.Run({whole});
  if (bitwise) {
    EXPECT_EQ(together, alone);
  }
  std::vector<std::vector<Chunk>> one_by_one;
  for (int64_t i = 0; i < check.rows(0); ++i) one_by_one.push_back({{0, i, i + 1}});
  (void)check.Run(one_by_one);
  // Image rows of one prompt beside text rows of another, cut inside the image.
  (void)check.Run({{{2, 0, 1}, {0, 0, 5}}, {{0, 5, check.rows(0)}, {1, 0, 4}, {2, 1, 2}}, {{1, 4, check.rows(1)}}});
}

}  // namespace gwq::testing
