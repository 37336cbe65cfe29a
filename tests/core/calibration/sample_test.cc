#include "core/calibration/sample.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "core/text/first_tokens.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::HasCode;
using testing::IsOk;
using testing::TempFolder;

constexpr int64_t kVocabulary = 20'000;
constexpr int32_t kUnknown = 0;

// "00001 " is token 1, and so on; characters of one to four bytes are words of their own.
std::string TokenizerJson() {
  nlohmann::json vocabulary{{"?", kUnknown}, {"é", 19'001}, {"日", 19'002}, {"𝄞", 19'003}};
  for (int i = 1; i < 19'000; ++i) vocabulary[fmt::format("{:05}", i)] = i;
  const nlohmann::json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor", nullptr},
      {"decoder", nullptr},
      {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "?"}}},
  };
  return tokenizer.dump();
}

std::string Words(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += fmt::format("{:05} ", i);
  return text;
}

class Samples : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::map<std::string, std::string> files = {{"tokenizer.json", TokenizerJson()}};
    auto text = ModelText::Load(files);
    ASSERT_THAT(text, IsOk());
    text_ = text->release();
  }
  static void TearDownTestSuite() { delete text_; }

  void SetUp() override {
    auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    config_.vocab_size = kVocabulary;
    calibration_.source = CalibrationSource::kText;
    calibration_.max_tokens = 8;
  }

  absl::StatusOr<SampleSet> Make(int64_t samples, uint64_t seed = 0) {
    return CalibrationSamples(calibration_, samples, seed, config_, text_, *store_, generate_);
  }
  absl::StatusOr<SampleSet> MakeOf(std::string text, int64_t samples, uint64_t seed = 0) {
    calibration_.text = std::move(text);
    return Make(samples, seed);
  }
  static std::vector<std::vector<int32_t>> TokensOf(const absl::StatusOr<SampleSet>& samples) {
    EXPECT_THAT(samples, IsOk());
    std::vector<std::vector<int32_t>> out;
    for (const CalibrationSample& one : samples.value_or(SampleSet{})) out.push_back(one.tokens);
    return out;
  }

  static const ModelText* text_;
  TempFolder folder_;
  std::unique_ptr<BlobStore> store_;
  ModelConfig config_;
  Calibration calibration_;
  SampleMaker generate_ = [](int64_t, int64_t) { return absl::InternalError("nothing is generated here"); };
};
const ModelText* Samples::text_ = nullptr;

TEST_F(Samples, OneIsTheBeginningOfTheText) {
  const auto samples = TokensOf(MakeOf(Words(100), 1));
  EXPECT_THAT(samples, ::testing::ElementsAre(std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(samples[0], *FirstTokens(text_->tokenizer(), Words(100), 8));
}

TEST_F(Samples, OneOfALongTextIsItsBeginning) {
  calibration_.max_tokens = 512;
  const std::string text = Words(18'000);
  const auto samples = TokensOf(MakeOf(text, 1));
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0], *FirstTokens(text_->tokenizer(), text, 512));
  EXPECT_EQ(TokensOf(Make(1, 7)), samples) << "a seed does not move the only sample";
}

TEST_F(Samples, ManyAreSpreadEvenlyOverTheText) {
  const int words = 18'000, count = 12;
  const auto samples = TokensOf(MakeOf(Words(words), count));
  ASSERT_EQ(samples.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < samples.size(); ++i) {
    ASSERT_EQ(samples[i].size(), 8U) << i;
    // The first word may be cut.
    EXPECT_EQ(samples[i][1], static_cast<int32_t>(i) * words / count + 2) << i;
    for (size_t k = 2; k < 8; ++k) EXPECT_EQ(samples[i][k], samples[i][k - 1] + 1);
  }
}

TEST_F(Samples, ASeedMovesThemWithinTheirStretches) {
  const int words = 18'000, count = 12;
  const auto even = TokensOf(MakeOf(Words(words), count));
  const auto moved = TokensOf(Make(count, 5));
  ASSERT_EQ(moved.size(), even.size());
  std::set<int32_t> shifts;
  for (size_t i = 0; i < moved.size(); ++i) {
    ASSERT_EQ(moved[i].size(), 8U);
    EXPECT_GE(moved[i][1], even[i][1]);
    EXPECT_LE(moved[i][7], static_cast<int32_t>(i + 1) * words / count + 1);
    shifts.insert(moved[i][1] - even[i][1]);
  }
  EXPECT_GE(shifts.size(), moved.size() / 2) << "each stretch has a draw of its own";
  EXPECT_EQ(TokensOf(Make(count, 5)), moved) << "the same seed";
  EXPECT_NE(TokensOf(Make(count, 6)), moved) << "another seed";
}

// Every border falls somewhere inside words of one to four bytes.
TEST_F(Samples, BordersCutNoCharacter) {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += i % 3 == 0 ? "é " : i % 3 == 1 ? "日 " : "𝄞 ";
  for (const int64_t count : {2, 3, 5, 7, 11, 13, 16, 31}) {
    for (const uint64_t seed : {0, 1, 2}) {
      const auto samples = TokensOf(MakeOf(text, count, seed));
      EXPECT_EQ(samples.size(), static_cast<size_t>(count));
      for (const auto& tokens : samples) {
        EXPECT_EQ(tokens.size(), 8U);
        EXPECT_THAT(tokens, ::testing::Each(::testing::Ge(19'001))) << "a character in parts is an unknown word";
      }
    }
  }
}

TEST_F(Samples, OfACutTextHaveNoFalseErrorAtTheEndOfWhatIsLookedAt) {
  // One word without blanks: what is looked at ends inside one of its characters for some shift.
  for (const char* shift : {"", "a", "ab", "abc"}) {
    std::string text = shift;
    for (int i = 0; i < 6000; ++i) text += "𝄞";
    EXPECT_THAT(MakeOf(text + " 00001 00002", 2), ::testing::Not(HasCode(absl::StatusCode::kInternal)));
    const auto samples = MakeOf(text + " 00001 00002", 2);
    EXPECT_THAT(std::string(samples.status().message()), ::testing::Not(::testing::HasSubstr("UTF-8"))) << shift;
  }
}

TEST_F(Samples, OfTextThatIsNotUtf8AreRefused) {
  EXPECT_THAT(MakeOf("00001 00002 \xFF 00003", 1), FailsAt("recipe.calibration.text"));
}

TEST_F(Samples, AreNoneOfATextThatIsTooShort) {
  EXPECT_THAT(MakeOf("", 1), FailsAt("recipe.calibration.text"));
  EXPECT_THAT(MakeOf("00001", 1), FailsAt("recipe.calibration.text"));
  EXPECT_THAT(MakeOf("00001", 4), FailsAt("recipe.calibration.text"));
  EXPECT_THAT(MakeOf("00001 00002", 1), IsOk());
}

TEST_F(Samples, AStretchOfFewerThanTwoTokensIsLeftOut) {
  const auto samples = TokensOf(MakeOf("00001 00002 00003", 4));
  ASSERT_FALSE(samples.empty());
  EXPECT_EQ(samples.size(), 3U) << "the last one holds one word";
  for (const auto& tokens : samples) EXPECT_GE(tokens.size(), 2U);
  EXPECT_EQ(samples[0], (std::vector<int32_t>{1, 2, 3}));
}

TEST_F(Samples, AreCutToTheModelsLongestContext) {
  config_.max_positions = 3;
  EXPECT_THAT(TokensOf(MakeOf(Words(50), 1)), ::testing::ElementsAre(std::vector<int32_t>{1, 2, 3}));
}

TEST_F(Samples, OfAFileAreThoseOfItsText) {
  const std::string text = Words(9'000);
  const auto of_text = TokensOf(MakeOf(text, 6, 3));
  calibration_.source = CalibrationSource::kFile;
  calibration_.blob = PutBlob(*store_, std::as_bytes(std::span(text))).value().Hex();
  EXPECT_EQ(TokensOf(Make(6, 3)), of_text);
  calibration_.blob = Sha256Of("gone").Hex();
  EXPECT_THAT(Make(6), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(Samples, OfTheModelsOwnTextAreItsPartsInOrder) {
  calibration_.source = CalibrationSource::kGenerated;
  generate_ = [](int64_t count, int64_t samples) -> absl::StatusOr<std::vector<int32_t>> {
    EXPECT_EQ(samples, 3);
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), 100);
    return tokens;
  };
  const auto samples = TokensOf(Make(3));
  ASSERT_EQ(samples.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(samples[i].size(), 8U);
    for (size_t k = 0; k < 8; ++k) EXPECT_EQ(samples[i][k], static_cast<int32_t>(100 + 8 * i + k));
  }
}

TEST_F(Samples, OfGivenTokensAreOneWithinTheVocabulary) {
  calibration_.source = CalibrationSource::kTokenIds;
  calibration_.token_ids = {5, 6, 7};
  EXPECT_THAT(TokensOf(Make(4)), ::testing::ElementsAre(std::vector<int32_t>{5, 6, 7}));
  calibration_.token_ids = {5, static_cast<int32_t>(kVocabulary)};
  EXPECT_THAT(Make(1), FailsAt("recipe.calibration.token_ids[1]"));
  calibration_.token_ids = {5, -1};
  EXPECT_THAT(Make(1), FailsAt("recipe.calibration.token_ids[1]"));
}

TEST_F(Samples, HaveNeitherPositionsNorImages) {
  const auto samples = MakeOf(Words(100), 2);
  ASSERT_THAT(samples, IsOk());
  for (const CalibrationSample& one : *samples) {
    EXPECT_TRUE(one.positions.empty());
    EXPECT_TRUE(one.tiles.empty());
    EXPECT_TRUE(one.patches.empty());
  }
}

}  // namespace
}  // namespace gwq
