// What an odd or hostile tokenizer.json does, and odd texts with a sound one.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/text/tokenizer.h"
#include "tests/core/text/goldens.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using Ids = std::vector<int32_t>;

absl::StatusOr<std::unique_ptr<const Tokenizer>> WithIdOfA(int64_t id) {
  return Tokenizer::Load(fmt::format(
      R"({{"version":"1.0","added_tokens":[],"model":{{"type":"BPE","vocab":{{"a":{},"b":1}},"merges":[]}}}})", id));
}

// An id below zero in a prompt is a row of an image.
TEST(TokenizerFile, AnIdThatWouldTurnNegativeIsRefused) {
  const int64_t largest = 2'147'483'646;
  const auto tokenizer = WithIdOfA(largest);
  ASSERT_THAT(tokenizer, IsOk());
  EXPECT_EQ((*tokenizer)->vocab_size(), largest + 1);
  EXPECT_THAT((*tokenizer)->Encode("ab", false).value(), ElementsAre(largest, 1));
  for (const int64_t id : {largest + 1, largest + 2, int64_t{4'294'967'294}, int64_t{4'294'967'295}}) {
    const auto refused = WithIdOfA(id);
    EXPECT_THAT(refused, FailsAt("tokenizer.json")) << id;
    EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("the limit is 2147483646"));
  }
}

TEST(TokenizerFile, APatternThatBacktracksWithoutEndFailsOnTheTextAlone) {
  const auto tokenizer = Tokenizer::Load(
      R"({"version":"1.0","pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated",)"
      R"("invert":false},"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})");
  ASSERT_THAT(tokenizer, IsOk());
  const auto hopeless = (*tokenizer)->Encode(std::string(64, 'a') + "b", false);
  EXPECT_FALSE(hopeless.ok()) << "2^64 ways to split";
  EXPECT_THAT((*tokenizer)->Encode("ab", false).value(), ElementsAre(0, 1)) << "the next text is none the worse";
}

TEST(TokenizerFile, TheErrorSaysHowLongAFileMayBe) {
  const auto refused = Tokenizer::Load(std::string(101, ' '), {.max_json_bytes = 100});
  EXPECT_THAT(refused, FailsAt("tokenizer.json"));
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("101 bytes, the limit is 100"));
}

TEST(Tokenizer, NothingIsNoTokensAndNoTokensAreNothing) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  EXPECT_THAT(tokenizer.Encode("", false).value(), IsEmpty());
  EXPECT_THAT(tokenizer.Encode(std::string_view(), true).value(), IsEmpty());
  EXPECT_EQ(tokenizer.Decode(Ids{}, true).value(), "");
  EXPECT_EQ(tokenizer.TokenToId(""), std::nullopt);
}

TEST(Tokenizer, ASpecialTokensNameInATextIsTheTokenAndItsPiecesAreNot) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  const auto has_end = [&](const std::string& text) {
    const Ids ids = tokenizer.Encode(text, false).value();
    return std::ranges::find(ids, *tokenizer.TokenToId("<|im_end|>")) != ids.end();
  };
  EXPECT_TRUE(has_end("<|im_end|>"));
  EXPECT_TRUE(has_end("a<|im_end|>b"));
  for (const char* text : {"<|im_end|", "|im_end|>", "<|im_ end|>", "<|IM_END|>", "<|im_end>"}) {
    EXPECT_FALSE(has_end(text)) << text;
  }
}

TEST(Tokenizer, NoIdOutsideTheVocabularyIsSpecialOrHasAName) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  for (const int32_t id : {-1, std::numeric_limits<int32_t>::min(), tokenizer.vocab_size(), 2'147'483'647}) {
    EXPECT_FALSE(tokenizer.IsSpecial(id)) << id;
    EXPECT_EQ(tokenizer.IdToToken(id), std::nullopt) << id;
  }
  EXPECT_EQ(tokenizer.TokenToId("\xff"), std::nullopt) << "no token is ill-formed UTF-8";
}

TEST(Tokenizer, TheErrorsOfDecodeSayCountLimitAndRange) {
  const auto small = Tokenizer::Load(SmolLm2Files().at("tokenizer.json"), {.max_decode_ids = 3});
  ASSERT_THAT(small, IsOk());
  const auto many = (*small)->Decode(Ids{1, 2, 3, 4}, false);
  EXPECT_THAT(many, FailsAt("ids"));
  EXPECT_THAT(std::string(MessageOf(many.status())), HasSubstr("4 ids, the limit is 3"));
  const auto negative = (*small)->Decode(Ids{0, -5, 0}, false);
  EXPECT_THAT(negative, FailsAt("ids[1]"));
  EXPECT_THAT(std::string(MessageOf(negative.status())), HasSubstr("is -5; ids count from 0 to 49151"));
}

}  // namespace
}  // namespace gwq
