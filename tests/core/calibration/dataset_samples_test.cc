#include "core/calibration/dataset_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/status.h"
#include "tests/support/dataset_builder.h"
#include "tests/support/golden_model.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_folder.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using ::testing::HasSubstr;
using testing::IsOk;
using Tokens = std::vector<int32_t>;

constexpr char kField[] = "recipe.calibration.dataset";
constexpr char kTemplate[] =
    "{% for m in messages %}{{ 'w1 ' if m.role == 'user' else 'w2 ' }}{{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}w2{% endif %}";

TEST(ChooseLines, TakesAllWhereThereAreNoMore) {
  EXPECT_THAT(ChooseLines(3, 3, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(ChooseLines(3, 10, 7), ElementsAre(0, 1, 2));
}

TEST(ChooseLines, SpreadsThemEvenlyWithoutASeed) {
  EXPECT_THAT(ChooseLines(10, 5, 0), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(ChooseLines(10, 3, 0), ElementsAre(0, 3, 6));
  EXPECT_THAT(ChooseLines(100'000, 1, 0), ElementsAre(0));
}

TEST(ChooseLines, DrawsThemBySeedNoneTwice) {
  std::set<std::vector<size_t>> draws;
  std::set<size_t> seen;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const std::vector<size_t> lines = ChooseLines(20, 5, seed);
    EXPECT_EQ(lines.size(), 5U);
    EXPECT_TRUE(std::ranges::is_sorted(lines));
    EXPECT_EQ(std::set<size_t>(lines.begin(), lines.end()).size(), 5U);
    EXPECT_EQ(lines, ChooseLines(20, 5, seed));
    draws.insert(lines);
    seen.insert(lines.begin(), lines.end());
  }
  EXPECT_GT(draws.size(), 45U);
  EXPECT_EQ(seen.size(), 20U) << "every line has its chance";
}

class DatasetSamplesTest : public ::testing::Test {
 protected:
  absl::StatusOr<SampleSet> Make(const std::string& lines, int64_t samples = 32, uint64_t seed = 0) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, testing::MakeDataset(golden_.store(), {{"lines.jsonl", lines}}));
    GWQ_ASSIGN_OR_RETURN(const StoredDataset dataset, StoredDataset::Open(golden_.store(), digest));
    const auto model = golden_.Open(golden_.digest());
    GWQ_ASSIGN_OR_RETURN(const auto files, model->TextFiles());
    GWQ_ASSIGN_OR_RETURN(const auto text, ModelText::Load(files));
    return DatasetSamples(dataset, calibration_, samples, seed, *model, *text, NoProgress());
  }
  std::vector<Tokens> TokensOf(const std::string& lines, int64_t samples = 32, uint64_t seed = 0) {
    const auto made = Make(lines, samples, seed);
    EXPECT_THAT(made, IsOk());
    std::vector<Tokens> out;
    for (const CalibrationSample& one : made.value_or(SampleSet{})) out.push_back(one.tokens);
    return out;
  }

  testing::StoredGolden golden_{"llama-tied-f16-v4", {{"chat_template.jinja", kTemplate}}};
  Calibration calibration_;
};

TEST_F(DatasetSamplesTest, EachKindOfLineIsASample) {
  EXPECT_THAT(
      TokensOf("{\"text\":\"w5 w6 w7\"}\n"
               "{\"messages\":[{\"role\":\"user\",\"content\":\"w8\"},{\"role\":\"assistant\",\"content\":\"w9\"}]}\n"
               "{\"token_ids\":[3,4]}\n"
               "{\"context\":\"w10\",\"choices\":[\"w11\",\"w12\"],\"answer\":1}\n"),
      ElementsAre(Tokens{5, 6, 7}, Tokens{1, 8, 2, 9}, Tokens{3, 4}, Tokens{1, 10, 2, 12}))
      << "the right choice is the assistant's turn";
}

TEST_F(DatasetSamplesTest, LongOnesAreCutAndShortOnesLeftOut) {
  calibration_.max_tokens = 3;
  EXPECT_THAT(TokensOf("{\"text\":\"w5 w6 w7 w8\"}\n"
                       "{\"text\":\"w5\"}\n"
                       "{\"token_ids\":[9,10,11,12]}\n"
                       "{\"messages\":[{\"role\":\"user\",\"content\":\"w8 w9 w10\"}]}\n"),
              ElementsAre(Tokens{5, 6, 7}, Tokens{9, 10, 11}, Tokens{1, 8, 9}));
  EXPECT_THAT(Make("{\"text\":\"w5\"}\n"), FailsAt(kField));
}

TEST_F(DatasetSamplesTest, SoManyLinesAreTakenAndNoMore) {
  std::string lines;
  for (int i = 1; i <= 10; ++i) lines += "{\"token_ids\":[" + std::to_string(i) + ",1]}\n";
  EXPECT_THAT(TokensOf(lines, 2), ElementsAre(Tokens{1, 1}, Tokens{6, 1}));
  const auto drawn = TokensOf(lines, 4, 11);
  EXPECT_EQ(drawn.size(), 4U);
  EXPECT_EQ(drawn, TokensOf(lines, 4, 11));
  EXPECT_EQ(TokensOf(lines, 1000).size(), 10U);
}

TEST_F(DatasetSamplesTest, AFaultNamesItsLine) {
  const auto outside = Make("{\"token_ids\":[1,2]}\n\n{\"token_ids\":[1,64]}\n");
  EXPECT_THAT(outside, FailsAt(kField));
  EXPECT_THAT(MessageOf(outside.status()), HasSubstr("line 3"));
  EXPECT_THAT(MessageOf(outside.status()), HasSubstr("vocabulary of 64"));
}

TEST_F(DatasetSamplesTest, AModelWithoutAChatTemplateTakesNoConversation) {
  testing::StoredGolden plain("llama-tied-f16-v4");
  const auto digest = testing::MakeDataset(
      plain.store(), {{"a.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"w8 w9\"}]}\n"}});
  ASSERT_THAT(digest, IsOk());
  const auto dataset = StoredDataset::Open(plain.store(), *digest);
  const auto model = plain.Open(plain.digest());
  const auto text = ModelText::Load(model->TextFiles().value());
  const auto made = DatasetSamples(*dataset, {}, 1, 0, *model, **text, NoProgress());
  EXPECT_THAT(made, FailsAt(kField));
  EXPECT_THAT(MessageOf(made.status()), HasSubstr("line 1"));
}

// The model that ships: 64 x 64 pixels are a few image tokens.
class ImageSamplesTest : public ::testing::Test {
 protected:
  static std::string Picture(uint8_t shade) {
    return testing::PngFile(64, 64, [&](int x, int y) {
      return testing::Rgb{shade, static_cast<uint8_t>(x * 3), static_cast<uint8_t>(y * 3)};
    });
  }
  absl::StatusOr<SampleSet> Make(const std::string& lines, int64_t samples = 32) {
    GWQ_ASSIGN_OR_RETURN(
        const Digest digest,
        testing::MakeDataset(folder_.store(), {{"a.png", Picture(10)}, {"b.png", Picture(200)}, {"q.jsonl", lines}}));
    GWQ_ASSIGN_OR_RETURN(const StoredDataset dataset, StoredDataset::Open(folder_.store(), digest));
    GWQ_ASSIGN_OR_RETURN(const auto model, StoredModel::Open(folder_.store(), folder_.model()));
    GWQ_ASSIGN_OR_RETURN(const auto files, model->TextFiles());
    GWQ_ASSIGN_OR_RETURN(const auto text, ModelText::Load(files));
    return DatasetSamples(dataset, calibration_, samples, 0, *model, *text, NoProgress());
  }

  testing::StoredFolder folder_{testing::SourcePath("tests/models/easy-vqa-qwen2-vl")};
  Calibration calibration_;
};

TEST_F(ImageSamplesTest, ImagesStandBeforeTheQuestionAndTheirPatchesAreMadeWhenRead) {
  const auto made = Make(
      "{\"question\":\"what shape?\",\"image\":\"a.png\",\"answer\":\"circle\"}\n"
      "{\"question\":\"the same?\",\"images\":[\"a.png\",\"b.png\"],\"answers\":[\"no\",\"not\"]}\n"
      "{\"text\":\"what is the color of the circle? red\"}\n");
  ASSERT_THAT(made, IsOk());
  ASSERT_EQ(made->size(), 3U);
  const auto rows = [](const CalibrationSample& one) {
    return std::ranges::count_if(one.tokens, [](int32_t t) { return t < 0; });
  };
  EXPECT_EQ((*made)[0].tiles.size(), 1U);
  EXPECT_EQ((*made)[1].tiles.size(), 2U);
  EXPECT_GT(rows((*made)[0]), 0);
  EXPECT_EQ(rows((*made)[1]), 2 * rows((*made)[0]));
  EXPECT_EQ((*made)[0].positions.size(), 3 * (*made)[0].tokens.size());
  EXPECT_TRUE((*made)[0].patches.empty());
  const auto first = (*made)[0].read_patches(), both = (*made)[1].read_patches();
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(both, IsOk());
  EXPECT_EQ(both->size(), 2 * first->size());
  EXPECT_TRUE(std::equal(first->begin(), first->end(), both->begin()));
  EXPECT_EQ(*(*made)[0].read_patches(), *first) << "the same at each call";
  EXPECT_TRUE((*made)[2].tiles.empty());
}

TEST_F(ImageSamplesTest, ASampleWithAnImageIsNotCut) {
  calibration_.max_tokens = 4;
  const auto made = Make("{\"question\":\"what shape?\",\"image\":\"a.png\",\"answer\":\"circle\"}\n");
  ASSERT_THAT(made, IsOk());
  EXPECT_GT((*made)[0].tokens.size(), 4U);
}

TEST_F(ImageSamplesTest, LinesThatAreTakenMustHaveOneOfTheImages) {
  const std::string lines =
      "{\"text\":\"what shape is it?\"}\n{\"question\":\"what?\",\"image\":\"a.png\",\"answer\":\"a\"}\n";
  EXPECT_THAT(Make(lines, 1), FailsAt(kField));
  EXPECT_THAT(Make(lines, 2), IsOk());
}

}  // namespace
}  // namespace gwq
