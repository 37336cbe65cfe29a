#include "core/io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::IsOk;

TEST(StrictJson, ReadsEveryKindOfValue) {
  const auto value = ParseJson("x", R"({"b":[1,-2,3.5,true,null,"t\u00e9xt"],"a":{"c":{}}})");
  ASSERT_THAT(value, IsOk());
  EXPECT_EQ(CanonicalJson(*value), R"({"a":{"c":{}},"b":[1,-2,3.5,true,null,"téxt"]})");
}

TEST(StrictJson, RefusesWhatNlohmannLetsPass) {
  EXPECT_THAT(ParseJson("x", R"({"a":1,"a":2})"), FailsAt("x"));
  EXPECT_THAT(ParseJson("x", R"({"o":{"a":1,"b":2,"a":1}})"), FailsAt("x"));
  EXPECT_THAT(ParseJson("x", std::string(40, '[') + std::string(40, ']')), FailsAt("x"));
}

TEST(StrictJson, RefusesMalformedText) {
  for (const std::string text : {"", "{", "{}x", "{\"a\":}", "[1,]", "\"\xff\"", "nul", "{'a':1}", "NaN", "[01]"}) {
    EXPECT_THAT(ParseJson("x", text), FailsAt("x")) << text;
  }
}

TEST(StrictJson, BoundsBytesAndValues) {
  EXPECT_THAT(ParseJson("x", "[1,2,3]", {.max_bytes = 6}), FailsAt("x"));
  EXPECT_THAT(ParseJson("x", "[1,2,3]", {.max_values = 3}), FailsAt("x"));
  EXPECT_THAT(ParseJson("x", "[1,2,3]", {.max_values = 4}), IsOk());
  EXPECT_THAT(ParseJson("x", "[[]]", {.max_depth = 1}), FailsAt("x"));
}

// One level too deep for each depth, in lists, objects and both by turns.
TEST(StrictJson, CountsLevelsOfListsAndObjectsAlike) {
  for (int depth = 1; depth <= 40; ++depth) {
    for (int kind = 0; kind < 3; ++kind) {
      std::string text = "1";
      for (int level = 0; level < depth; ++level) {
        const bool list = kind == 0 || (kind == 2 && level % 2 == 0);
        text = list ? "[" + text + "]" : R"({"k":)" + text + "}";
      }
      EXPECT_THAT(ParseJson("x", text, {.max_depth = depth}), IsOk()) << text;
      EXPECT_THAT(ParseJson("x", text, {.max_depth = depth - 1}), FailsAt("x")) << text;
      EXPECT_EQ(ParseJson("x", text).ok(), depth <= 32) << depth;
    }
  }
}

TEST(StrictJson, KeepsNumbersToTheEndOf64Bits) {
  for (const char* const text : {"0", "18446744073709551615", "-9223372036854775808", "0.1", "-2.5e-300"}) {
    EXPECT_EQ(CanonicalJson(ParseJson("x", text).value()), text);
  }
  EXPECT_TRUE(ParseJson("x", "18446744073709551616")->is_number_float()) << "past 64 bits it is no whole number";
  EXPECT_TRUE(ParseJson("x", "-9223372036854775809")->is_number_float());
  for (const char* const text : {"1e400", "-1e400", "-", "+1", ".5", "1.", "1e", "0x1", "00", "Infinity", "1 2"}) {
    EXPECT_THAT(ParseJson("x", text), FailsAt("x")) << text;
  }
}

TEST(StrictJson, OneKeyInTwoSpellingsIsADuplicate) {
  EXPECT_THAT(ParseJson("x", R"({"a":1,"\u0061":2})"), FailsAt("x"));
  EXPECT_THAT(ParseJson("x", R"({"":1,"":2})"), FailsAt("x"));
  EXPECT_THAT(ParseJson("x", R"([{"a":1},{"a":2}])"), IsOk()) << "in two objects";
}

// Errors are stored with jobs and sent on: they hold no megabytes of the file, and no bytes that are no text.
TEST(StrictJson, AnErrorQuotesLittleAndInUtf8) {
  const std::string lengthy(1 << 20, 'x');
  for (const std::string& text : {"\"" + lengthy, "[" + std::string(1 << 20, '1') + "x]", "{\"" + lengthy + "\n\":1}",
                                  std::string("\"\xFF\""), std::string("\xC3")}) {
    const absl::Status status = ParseJson("x", text).status();
    ASSERT_THAT(status, FailsAt("x"));
    EXPECT_LE(status.message().size(), 1024u);
    EXPECT_TRUE(IsValidUtf8(MessageOf(status))) << status;
    EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("malformed JSON at byte"));
  }
}

TEST(Utf8, KnowsValidFromInvalid) {
  for (const char* const text : {"", "plain", "é", "漢字", "😀", "\xEF\xBF\xBD", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsValidUtf8(text)) << text;
  }
  // Cut, continuation alone, overlong, surrogate, above U+10FFFF.
  for (const char* const text : {"\xC3", "\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                 "\xF5\x80\x80\x80", "a\xE6\xBC"}) {
    EXPECT_FALSE(IsValidUtf8(text)) << text;
  }
}

TEST(Utf8, IsMadeValidByteByByte) {
  EXPECT_EQ(ToValidUtf8(""), "");
  EXPECT_EQ(ToValidUtf8("né 漢 😀"), "né 漢 😀");
  EXPECT_EQ(ToValidUtf8(std::string_view("né").substr(0, 2)), "n\xEF\xBF\xBD");
  EXPECT_EQ(ToValidUtf8("\xFF\xFEz"), "\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(ToValidUtf8("\xE6\xBC"
                        "a"),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "a");
}

}  // namespace
}  // namespace gwq
