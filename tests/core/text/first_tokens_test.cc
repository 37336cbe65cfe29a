#include "core/text/first_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/io/json.h"
#include "tests/core/text/goldens.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using ::testing::IsEmpty;
using Ids = std::vector<int32_t>;

const Tokenizer& Words() { return SmolLm2().tokenizer(); }

TEST(CutUtf8, IsTheLongestBeginningOfWholeCharacters) {
  const std::string text = "a\u00e9\u20ac\U0001F600z";
  for (size_t bytes = 0; bytes <= text.size(); ++bytes) {
    const std::string cut(CutUtf8(text, bytes));
    EXPECT_TRUE(IsValidUtf8(cut)) << bytes;
    EXPECT_TRUE(text.starts_with(cut));
    EXPECT_LE(cut.size(), bytes);
    // One byte more of what is left out is no whole character.
    for (size_t more = cut.size() + 1; more <= bytes; ++more) EXPECT_FALSE(IsValidUtf8(text.substr(0, more))) << bytes;
  }
  EXPECT_EQ(CutUtf8(text, text.size() + 100), text);
  EXPECT_EQ(CutUtf8("", 0), "");
}

TEST(CutUtf8, OfNothingButContinuationsIsNothing) {
  EXPECT_EQ(CutUtf8(std::string(100, '\x80'), 50), "") << "ill-formed text has no whole character";
}

TEST(BytesForTokens, AreSixtyFourPerTokenAndNeverFew) {
  EXPECT_EQ(BytesForTokens(0), 4096U);
  EXPECT_EQ(BytesForTokens(64), 4096U);
  EXPECT_EQ(BytesForTokens(65), 4160U);
  EXPECT_EQ(BytesForTokens(int64_t{1} << 32), size_t{64} << 32);
}

TEST(FirstTokens, AreThoseThatTheWholeTextBeginsWith) {
  const std::string text = Repeat("Größe 12, 日本語; \U0001F600 naïve words.\n", 400);
  const Ids whole = Words().Encode(text, false).value();
  for (const int64_t count : {1, 2, 3, 17, 64, 1000}) {
    ASSERT_GT(std::ssize(whole), count);
    EXPECT_EQ(FirstTokens(Words(), text, count).value(), Ids(whole.begin(), whole.begin() + count)) << count;
  }
  EXPECT_THAT(FirstTokens(Words(), text, 0).value(), IsEmpty());
}

TEST(FirstTokens, AreAllOfAShortText) {
  EXPECT_EQ(FirstTokens(Words(), "a few words", 1000).value(), Words().Encode("a few words", false).value());
  EXPECT_THAT(FirstTokens(Words(), "", 10).value(), IsEmpty());
}

TEST(FirstTokens, OfATextTooLongToEncodeComeFromItsBeginning) {
  const std::string text = Repeat("word ", size_t{9} << 18);
  ASSERT_FALSE(Words().Encode(text, false).ok());
  EXPECT_EQ(FirstTokens(Words(), text, 5).value(), FirstTokens(Words(), text.substr(0, 100), 5).value());
}

TEST(FirstTokens, IllFormedTextIsRefusedWhereItIsReadAndNotSeenBehindThat) {
  EXPECT_THAT(FirstTokens(Words(), "a\xff", 5), FailsAt("text"));
  EXPECT_EQ(FirstTokens(Words(), std::string(5000, ' ') + "\xff", 1)->size(), 1U);
  // The cut falls into a character that spans bytes 4,095 and 4,096.
  const std::string spans = std::string(4095, '.') + "\u00e9" + "rest";
  EXPECT_EQ(FirstTokens(Words(), spans, 3)->size(), 3U);
}

}  // namespace
}  // namespace gwq
