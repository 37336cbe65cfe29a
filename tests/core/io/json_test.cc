#include "core/io/json.h"

#include <gtest/gtest.h>

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
