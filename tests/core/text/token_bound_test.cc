#include "core/text/token_bound.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/status.h"
#include "core/text/first_tokens.h"
#include "tests/core/text/goldens.h"

namespace gwq {
namespace {

TEST(TokenBound, ATextIsRefusedWithoutEncodingAllOfIt) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  // Longer than the tokenizer takes at all.
  for (const char* const piece : {"word ", " ", "é", "abc,", "<|im_start|>"}) {
    const std::string text = Repeat(piece, (size_t{9} << 20) / std::string(piece).size());
    EXPECT_FALSE(tokenizer.Encode(text, false).ok());
    const auto more = HasMoreTokens(tokenizer, text, 1000);
    ASSERT_TRUE(more.ok()) << more.status();
    EXPECT_TRUE(*more) << piece;
  }
}

TEST(TokenBound, ATextThatFitsIsNeverRefused) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  for (const char* const piece :
       {"word ", "          ", "é", "12,5; ", "antidisestablishmentarianism", "\xF0\x9F\x98\x80"}) {
    for (const int times : {1, 100, 1000, 5000, 20000}) {
      const std::string text = Repeat(piece, times);
      const auto tokens = tokenizer.Encode(text, false);
      ASSERT_TRUE(tokens.ok());
      const auto more = HasMoreTokens(tokenizer, text, std::ssize(*tokens));
      ASSERT_TRUE(more.ok()) << more.status();
      EXPECT_FALSE(*more) << piece << " " << times;
    }
  }
  EXPECT_FALSE(*HasMoreTokens(tokenizer, "", 0));
}

// 64 bytes for each token would be more than a tokenizer takes.
TEST(TokenBound, ManyTokensOfALongTextAreThoseOfABeginning) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  const std::string text = Repeat("word ", (size_t{9} << 20) / 5);
  const auto tokens = FirstTokens(tokenizer, text, 140'000);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(std::ssize(*tokens), 140'000);
  EXPECT_EQ(*tokens, FirstTokens(tokenizer, text.substr(0, 800'000), 140'000).value());
}

TEST(TokenBound, TheErrorNamesFieldSizeAndLimit) {
  const auto violations =
      FieldViolations(CheckPromptTokens(SmolLm2().tokenizer(), std::string(10'000, '7'), "prompt", 99));
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "prompt");
  EXPECT_THAT(violations[0].description, ::testing::HasSubstr("10000 bytes and more than 99 tokens"));
}

}  // namespace
}  // namespace gwq
