// Choices scored from one prefill against a whole model that reads prompt and choice alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/backend/cpu/cpu_backend.h"
#include "core/evaluation/choice_prompt.h"
#include "core/evaluation/choice_walk.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::FilesWeightLoader;
using testing::GoldenModel;
using testing::IsOk;

// Letters a to x, brackets and a blank are tokens, and three that are special.
class ChoicePromptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    nlohmann::json vocabulary;
    for (int i = 0; i < 24; ++i) vocabulary[std::string(1, static_cast<char>('a' + i))] = i;
    for (const char* other : {"<", ">", " ", "<end>", "<image>", "<unk>"}) vocabulary[other] = vocabulary.size();
    nlohmann::json tokenizer = {{"version", "1.0"},
                                {"added_tokens", nlohmann::json::array()},
                                {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"unk_token", "<unk>"}}}};
    tokenizer["model"]["merges"] = nlohmann::json::array();
    for (const char* special : {"<end>", "<image>", "<unk>"}) {
      tokenizer["added_tokens"].push_back({{"id", vocabulary[special]},
                                           {"content", special},
                                           {"single_word", false},
                                           {"lstrip", false},
                                           {"rstrip", false},
                                           {"normalized", false},
                                           {"special", true}});
    }
    auto text = ModelText::Load({{"tokenizer.json", tokenizer.dump()}});
    ASSERT_THAT(text, IsOk());
    text_ = *std::move(text);
    config_.vocab_size = static_cast<int64_t>(vocabulary.size());
    config_.image_token_id = vocabulary["<image>"];
  }

  absl::StatusOr<MadeChoicePrompt> Make(const std::string& context, const std::vector<std::string>& choices) const {
    const std::string delimiter;
    DatasetItem item;
    item.line = 3;
    item.context = context;
    item.choices = choices;
    return ChoicePromptMaker(*text_, config_, delimiter).Make(item);
  }

  std::unique_ptr<const ModelText> text_;
  ModelConfig config_;
};

TEST_F(ChoicePromptTest, AChoiceIsTextAndNamesNoSpecialToken) {
  EXPECT_THAT(Make("ab", {"c", "d<end>"}), FailsAt("line 3.choices[1]"));
  EXPECT_THAT(Make("ab", {"<image>", "d"}), FailsAt("line 3.choices[0]"));
  EXPECT_THAT(Make("ab<en", {"c", "d>"}), FailsAt("line 3.choices[1]")) << "context and choice together name one";
  const auto unknown = Make("ab", {"c", "Z"});
  EXPECT_THAT(unknown, IsOk()) << "an unknown letter becomes a special token that nobody named";
}

TEST_F(ChoicePromptTest, AContextMayNameSpecialTokensButNoImage) {
  EXPECT_THAT(Make("a<image>", {"c", "d"}), FailsAt("line 3.context"));
  const auto made = Make("a<end>", {"c", "d"});
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(made->prompt.tokens, ElementsAre(0, 27));
  EXPECT_THAT(made->prompt.choices, ElementsAre(ElementsAre(2), ElementsAre(3)));
}

class ChoiceWalkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto golden = GoldenModel::Load("qwen2-untied-f32-v4");
    ASSERT_THAT(golden, IsOk());
    golden_ = std::make_unique<GoldenModel>(*std::move(golden));
    backend_ = *CreateCpuBackend({2, std::nullopt});
    loader_ = std::make_unique<FilesWeightLoader>(*backend_, golden_->weights);
  }

  // The definition: prompt and choice in one go, nothing shared.
  double Forced(const std::vector<int32_t>& prompt, const std::vector<int32_t>& choice) {
    const auto loaded = LoadedModel::Load(golden_->model, *loader_, {});
    const ModelConfig& config = golden_->model->config();
    std::vector<int32_t> tokens = prompt;
    tokens.insert(tokens.end(), choice.begin(), choice.end() - 1);
    const auto cache =
        backend_->CreateKvCache({config.blocks, config.attention.kv_heads, config.attention.head_dim, 16, 64});
    std::vector<int32_t> positions(tokens.size());
    std::iota(positions.begin(), positions.end(), 0);
    std::vector<int32_t> blocks(64);
    std::iota(blocks.begin(), blocks.end(), 0);
    const SequenceRows sequence{0, static_cast<int64_t>(tokens.size()), 0, blocks};
    Batch batch;
    batch.rows = sequence.rows;
    batch.tokens = tokens;
    batch.positions = positions;
    batch.sequences = {&sequence, 1};
    batch.output_rows = positions;
    const auto vocabulary = static_cast<size_t>(config.vocab_size);
    std::vector<float> logits(tokens.size() * vocabulary);
    EXPECT_THAT((*loaded)->Forward(*backend_, batch, cache->get(), logits), IsOk());
    double sum = 0;
    for (size_t i = 0; i < choice.size(); ++i) {
      const auto row = std::span(logits).subspan((prompt.size() - 1 + i) * vocabulary, vocabulary);
      double norm = 0;
      for (const float logit : row) norm += std::exp(static_cast<double>(logit));
      sum += row[static_cast<size_t>(choice[i])] - std::log(norm);
    }
    return sum;
  }

  ChoicePrompt Prompt(int seed, size_t tokens, const std::vector<size_t>& choices) const {
    ChoicePrompt out;
    int next = seed;
    const auto token = [&] { return next = (next * 7 + 3) % 64; };
    for (size_t i = 0; i < tokens; ++i) out.tokens.push_back(token());
    for (const size_t length : choices) {
      auto& choice = out.choices.emplace_back();
      for (size_t i = 0; i < length; ++i) choice.push_back(token());
    }
    return out;
  }

  std::unique_ptr<GoldenModel> golden_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<WeightLoader> loader_;
};

TEST_F(ChoiceWalkTest, EqualsPromptAndChoiceReadAlone) {
  std::vector<ChoicePrompt> prompts = {Prompt(1, 1, {1, 1}), Prompt(2, 16, {1, 3, 2, 1}), Prompt(3, 33, {20, 1}),
                                       Prompt(4, 7, {5}), Prompt(5, 12, {1, 4})};
  const auto got = ScoreChoices(*golden_->model, *loader_, *backend_, prompts, "evaluate", NoProgress());
  ASSERT_THAT(got, IsOk());
  for (size_t i = 0; i < prompts.size(); ++i) {
    ASSERT_EQ((*got)[i].size(), prompts[i].choices.size());
    for (size_t k = 0; k < prompts[i].choices.size(); ++k) {
      // CpuBackend, F32 weights: the same logits, so only the order of sums in the norm differs.
      EXPECT_NEAR((*got)[i][k], Forced(prompts[i].tokens, prompts[i].choices[k]), 1e-9) << i << ", " << k;
    }
  }
}

TEST_F(ChoiceWalkTest, LongPromptsAndChoicesGoInSeveralPasses) {
  std::vector<ChoicePrompt> prompts = {Prompt(1, kChoicePassRows + 40, {3, kChoicePassRows - 90, 1})};
  prompts.push_back(Prompt(2, 3, {kChoicePassRows + 77, 2}));
  for (int i = 0; i < 12; ++i) prompts.push_back(Prompt(i, 5, {90, 4}));
  const auto got = ScoreChoices(*golden_->model, *loader_, *backend_, prompts, "evaluate", NoProgress());
  ASSERT_THAT(got, IsOk());
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}, size_t{13}}) {
    for (size_t k = 0; k < prompts[i].choices.size(); ++k) {
      const double expected = Forced(prompts[i].tokens, prompts[i].choices[k]);
      EXPECT_NEAR((*got)[i][k], expected, 1e-9 * -expected) << i << ", " << k;
    }
  }
}

TEST_F(ChoiceWalkTest, OtherPromptsChangeNoBit) {
  std::vector<ChoicePrompt> prompts;
  for (int i = 0; i < 40; ++i) prompts.push_back(Prompt(i, 10 + static_cast<size_t>(i), {1, 2, 3}));
  const auto together = ScoreChoices(*golden_->model, *loader_, *backend_, prompts, "evaluate", NoProgress());
  ASSERT_THAT(together, IsOk());
  for (size_t i = 0; i < prompts.size(); i += 13) {
    const auto alone =
        ScoreChoices(*golden_->model, *loader_, *backend_, std::span(prompts).subspan(i, 1), "evaluate", NoProgress());
    ASSERT_THAT(alone, IsOk());
    EXPECT_EQ(alone->front(), (*together)[i]) << i;
  }
}

TEST_F(ChoiceWalkTest, RowsOfEmbeddingsStandForTokens) {
  const ChoicePrompt plain = Prompt(8, 9, {2, 3});
  const TensorSpec* table = nullptr;
  for (const TensorSpec& spec : golden_->model->tensors()) {
    if (spec.kind == TensorKind::kEmbedding) table = &spec;
  }
  ASSERT_NE(table, nullptr);
  const auto found = golden_->weights.Find(table->name);
  ASSERT_THAT(found, IsOk());
  const auto hidden = static_cast<size_t>(golden_->model->config().hidden_size);
  ChoicePrompt mixed = plain;
  auto rows = std::make_shared<std::vector<float>>(3 * hidden);
  for (size_t i = 0; i < 3; ++i) {
    const auto token = static_cast<size_t>(plain.tokens[2 + i]);
    ToFloat(*found, static_cast<int64_t>(token * hidden), std::span(*rows).subspan(i * hidden, hidden));
    mixed.tokens[2 + i] = ~static_cast<int32_t>(i);
  }
  mixed.images = rows;
  const std::vector<ChoicePrompt> prompts = {Prompt(1, 5, {1, 1}), plain, mixed, mixed};
  const auto got = ScoreChoices(*golden_->model, *loader_, *backend_, prompts, "evaluate", NoProgress());
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ((*got)[1], (*got)[2]);
  EXPECT_EQ((*got)[1], (*got)[3]);
}

TEST_F(ChoiceWalkTest, APromptLongerThanAWaveIsRefused) {
  const std::vector<ChoicePrompt> prompts = {Prompt(1, kChoiceWaveRows + 1, {1, 1})};
  EXPECT_EQ(ScoreChoices(*golden_->model, *loader_, *backend_, prompts, "evaluate", NoProgress()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

class CancelledAt final : public Progress {
 public:
  explicit CancelledAt(int check) : left_(check) {}
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view) override {}
  absl::Status Check() override { return left_-- > 0 ? absl::OkStatus() : absl::CancelledError("cancelled"); }

 private:
  int left_;
};

TEST_F(ChoiceWalkTest, ACancelEndsIt) {
  CancelledAt progress(2);
  const std::vector<ChoicePrompt> prompts = {Prompt(1, 5, {2, 2})};
  EXPECT_TRUE(
      absl::IsCancelled(ScoreChoices(*golden_->model, *loader_, *backend_, prompts, "evaluate", progress).status()));
}

}  // namespace
}  // namespace gwq
