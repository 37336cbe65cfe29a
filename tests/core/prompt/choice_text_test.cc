#include "core/prompt/choice_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using Ids = std::vector<int32_t>;

// Whole words; <unk> and <e> are special, <img> is not.
constexpr char kTokenizer[] =
    R"({"version":"1.0","added_tokens":[{"id":0,"content":"<unk>","single_word":false,"lstrip":false,"rstrip":false,)"
    R"("normalized":false,"special":true},{"id":1,"content":"<e>","single_word":false,"lstrip":false,"rstrip":false,)"
    R"("normalized":false,"special":true},{"id":2,"content":"<img>","single_word":false,"lstrip":false,"rstrip":false,)"
    R"("normalized":false,"special":false}],"pre_tokenizer":{"type":"WhitespaceSplit"},)"
    R"("model":{"type":"WordLevel","vocab":{"<unk>":0,"<e>":1,"<img>":2,"red":3,"blue":4},"unk_token":"<unk>"}})";

class ChoiceTextTest : public ::testing::Test {
 protected:
  [[nodiscard]] Ids Named(const std::string& text, int32_t image_token = -1) const {
    return NamedTokens(*tokenizer_, text, tokenizer_->Encode(text, false).value(), image_token);
  }

  const std::unique_ptr<const Tokenizer> tokenizer_ = *Tokenizer::Load(kTokenizer);
};

TEST_F(ChoiceTextTest, WordsNameNoTokenThatIsNotText) {
  EXPECT_THAT(Named("red blue"), IsEmpty());
  EXPECT_THAT(Named(""), IsEmpty());
}

TEST_F(ChoiceTextTest, SpecialTokensInTheTextAreFoundInItsOrder) {
  EXPECT_THAT(Named("red <e> blue<e>"), ElementsAre(1, 1));
  EXPECT_THAT(Named("<unk> <e>"), ElementsAre(0, 1));
}

TEST_F(ChoiceTextTest, AnUnknownWordIsTextThoughItsTokenIsSpecial) {
  EXPECT_THAT(tokenizer_->Encode("green", false).value(), ElementsAre(0));
  EXPECT_THAT(Named("green"), IsEmpty());
  EXPECT_THAT(Named("green <e>"), ElementsAre(1));
}

TEST_F(ChoiceTextTest, TheTokenOfAnImageCountsWhereTheModelSeesImages) {
  EXPECT_THAT(Named("red <img>"), IsEmpty());
  EXPECT_THAT(Named("red <img>", 2), ElementsAre(2));
}

TEST_F(ChoiceTextTest, TheFirstThatIsNamedIsTold) {
  EXPECT_THAT(CheckNoneNamed(*tokenizer_, Ids{}, "choices[3]"), IsOk());
  const absl::Status refused = CheckNoneNamed(*tokenizer_, Named("red <e> <unk>"), "choices[3]");
  EXPECT_THAT(refused, FailsAt("choices[3]"));
  EXPECT_THAT(std::string(MessageOf(refused)), HasSubstr("holds '<e>', a special token"));
}

}  // namespace
}  // namespace gwq
