#include "core/calibration/own_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/backend/registry.h"
#include "core/base/status.h"
#include "core/calibration/text_batch.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using Tokens = std::vector<int32_t>;

// Of the tiny golden model, whose words are w0, w1, ...
constexpr char kTemplate[] =
    "w3 {% for m in messages %}{{ 'w4 ' if m.role == 'user' else 'w5 ' }}{{ m.content }} w6 {% endfor %}"
    "{% if add_generation_prompt %}w5 {% endif %}";

class OwnTextTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::optional<OwnTextStarts>> Find(const std::string& chat_template) {
    testing::StoredGolden golden("llama-tied-f16-v4", {{"chat_template.jinja", chat_template}});
    const auto model = golden.Open(golden.digest());
    GWQ_ASSIGN_OR_RETURN(const auto files, model->TextFiles());
    GWQ_ASSIGN_OR_RETURN(const auto text, ModelText::Load(files));
    return FindOwnTextStarts(*text, model->model()->config());
  }

  absl::StatusOr<Tokens> Write(const OwnTextStarts& starts, int64_t count, int64_t samples, uint64_t seed) {
    const auto model = golden_.Open(golden_.digest());
    GWQ_ASSIGN_OR_RETURN(const auto backend, CreateBackend(kHostDevice, {.threads = 1}));
    const auto loader = MakeWeightLoader(*model, *backend);
    return WriteOwnTexts(*model->model(), *loader, *backend, starts, count, samples, seed, NoProgress());
  }

  static OwnTextStarts Starts() {
    OwnTextStarts starts;
    starts.document = {1};
    starts.user = {2, 20};
    starts.questions = {{3, 21, 22}, {3, 23}};
    starts.tasks = {{4, 24}, {4, 25}, {4, 26}};
    starts.to_assistant = {0, 30, 31};
    starts.to_user = {0, 32};
    starts.ends = {0};
    return starts;
  }

  testing::StoredGolden golden_{"llama-tied-f16-v4", {}};
};

TEST_F(OwnTextTest, TheTurnsOfAChatTemplateAreFound) {
  const auto starts = Find(kTemplate);
  ASSERT_THAT(starts, IsOk());
  ASSERT_TRUE(starts->has_value());
  EXPECT_THAT((*starts)->user, ElementsAre(3, 4));
  EXPECT_THAT((*starts)->to_assistant, ElementsAre(6, 5));
  EXPECT_THAT((*starts)->to_user, ElementsAre(6, 4));
  EXPECT_EQ((*starts)->questions.size(), (*starts)->tasks.size());
  for (const Tokens& question : (*starts)->questions) {
    EXPECT_EQ(question.front(), 3);
    EXPECT_EQ(question.back(), 5);
  }
}

TEST_F(OwnTextTest, ATemplateWithoutTurnsHasNone) {
  for (const char* const chat : {"w3", "{{ raise_exception('no') }}", "{{ messages[0].content }}"}) {
    const auto starts = Find(chat);
    ASSERT_THAT(starts, IsOk()) << chat;
    EXPECT_FALSE(starts->has_value()) << chat;
  }
}

TEST_F(OwnTextTest, ASampleHasATextOfEachKind) {
  const auto tokens = Write(Starts(), 259, 3, 0);
  ASSERT_THAT(tokens, IsOk());
  ASSERT_EQ(tokens->size(), 3U * 259);
  for (int64_t sample = 0; sample < 3; ++sample) {
    const auto begins = [&](int64_t text, const Tokens& start) {
      const auto at = tokens->begin() + sample * 259 + text * 65;
      EXPECT_EQ(Tokens(at, at + std::ssize(start)), start) << sample << " " << text;
    };
    begins(0, {1});
    begins(1, {2, 20});
    begins(2, Starts().questions[static_cast<size_t>(sample) % 2]);
    begins(3, Starts().tasks[static_cast<size_t>(sample)]);
  }
}

TEST_F(OwnTextTest, AShortSampleIsOneTextAndTheKindsTakeTurns) {
  const auto tokens = Write(Starts(), 60, 4, 0);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT((Tokens{(*tokens)[0], (*tokens)[60], (*tokens)[120], (*tokens)[180]}), ElementsAre(1, 2, 3, 4));
}

TEST_F(OwnTextTest, ATurnThatEndsIsFollowedByTheOtherSides) {
  OwnTextStarts starts = Starts();
  // So often that a model that has learned nothing ends its turns.
  starts.ends = {0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  const auto tokens = Write(starts, 256, 8, 3);
  ASSERT_THAT(tokens, IsOk());
  int turns = 0;
  for (size_t text = 0; text < 32; ++text) {
    bool user = text % 4 == 1;
    const size_t begin = text * 64;
    for (size_t at = begin + 1; at + 3 < begin + 64; ++at) {
      if (std::ranges::find(starts.ends, (*tokens)[at]) == starts.ends.end()) continue;
      ASSERT_NE(text % 4, 0U) << "a document does not end";
      const Tokens& to = user ? starts.to_assistant : starts.to_user;
      EXPECT_EQ(Tokens(tokens->begin() + static_cast<std::ptrdiff_t>(at),
                       tokens->begin() + static_cast<std::ptrdiff_t>(at + to.size())),
                to);
      user = !user;
      at += to.size() - 1;
      ++turns;
    }
  }
  EXPECT_GT(turns, 10);
}

TEST_F(OwnTextTest, OneSeedGivesOneTextAndAnotherAnother) {
  std::set<Tokens> texts;
  for (const uint64_t seed : {0, 1, 2}) {
    const auto once = Write(Starts(), 128, 2, seed), again = Write(Starts(), 128, 2, seed);
    ASSERT_THAT(once, IsOk());
    EXPECT_EQ(*once, *again);
    texts.insert(*once);
  }
  EXPECT_EQ(texts.size(), 3U);
}

TEST_F(OwnTextTest, DrawsByTheModelsProbabilities) {
  // All texts of one kind begin alike, so that their second tokens are draws of one distribution.
  OwnTextStarts starts = Starts();
  starts.user = starts.document;
  starts.questions = starts.tasks = {starts.document};
  starts.ends = {};
  const auto tokens = Write(starts, 8, 4000, 5);
  ASSERT_THAT(tokens, IsOk());
  std::map<int32_t, double> shares;
  for (size_t i = 1; i < tokens->size(); i += 8) shares[(*tokens)[i]] += 1.0 / 4000;
  const auto model = golden_.Open(golden_.digest());
  const auto backend = *CreateBackend(kHostDevice, {.threads = 1});
  const auto loader = MakeWeightLoader(*model, *backend);
  const auto batch = *TextBatch::Create(*model->model(), *loader, *backend, 1, 8, NoProgress());
  std::vector<float> logits(static_cast<size_t>(model->model()->config().vocab_size));
  ASSERT_THAT(batch->Forward({{1}}, logits), IsOk());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit);
  for (size_t i = 0; i < logits.size(); ++i) {
    const double wanted = std::exp(logits[i]) / sum;
    // Four standard deviations.
    EXPECT_NEAR(shares[static_cast<int32_t>(i)], wanted, 4 * std::sqrt(wanted / 4000)) << i;
  }
}

}  // namespace
}  // namespace gwq
