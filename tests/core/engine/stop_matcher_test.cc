#include "core/engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

#include "core/base/status.h"

namespace gwq {
namespace {

struct Outcome {
  std::string text;
  std::string match;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Feeds `text` in pieces that end at the given cuts.
Outcome Feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Outcome outcome;
  for (const std::string& piece : pieces) {
    if (!matcher.stopped()) outcome.text += matcher.Push(piece);
  }
  if (!matcher.stopped()) outcome.text += matcher.Flush();
  outcome.match = matcher.match();
  return outcome;
}

TEST(StopMatcher, FindsAStopStringAcrossPieces) {
  EXPECT_EQ(Feed({"END"}, {"some E", "N", "D more"}), (Outcome{"some ", "END"}));
  EXPECT_EQ(Feed({"END"}, {"END"}), (Outcome{"", "END"}));
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStopString) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.Push("abc E"), "abc ");
  EXPECT_EQ(matcher.Push("N"), "");
  EXPECT_EQ(matcher.Push("EN"), "EN");
  EXPECT_EQ(matcher.Push("x"), "ENx");
  EXPECT_EQ(matcher.Push("E"), "");
  EXPECT_EQ(matcher.Flush(), "E");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, OverlappingPrefixesAreNotLost) {
  EXPECT_EQ(Feed({"aab"}, {"a", "a", "a", "b"}), (Outcome{"a", "aab"}));
  EXPECT_EQ(Feed({"abab c"}, {"ab", "ab", "ab", " c"}), (Outcome{"ab", "abab c"}));
}

TEST(StopMatcher, TheOneThatEndsFirstWinsThenTheLongest) {
  EXPECT_EQ(Feed({"abcde", "cd"}, {"abcde"}), (Outcome{"ab", "cd"}));
  EXPECT_EQ(Feed({"d", "cd", "bcd"}, {"abcd"}), (Outcome{"a", "bcd"}));
}

TEST(StopMatcher, WithoutStopStringsEverythingPassesAtOnce) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Push("any"), "any");
  EXPECT_EQ(matcher.Flush(), "");
}

// What is found must not depend on how the text was cut into pieces, and pieces stay whole characters.
TEST(StopMatcher, DoesNotDependOnTheCuts) {
  const std::vector<std::string> characters = {"a", "b", "é", "日", "😀"};
  std::mt19937 random(5);
  const auto draw = [&](size_t minimum, size_t maximum) {
    std::string text;
    for (size_t i = minimum + random() % (maximum - minimum + 1); i > 0; --i)
      text += characters[random() % characters.size()];
    return text;
  };
  int found = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = random() % 4; i > 0; --i) stops.push_back(draw(1, 4));
    std::vector<std::string> singles;
    std::string text;
    for (size_t i = random() % 30; i > 0; --i) text += singles.emplace_back(draw(1, 1));
    std::vector<std::string> pieces(1);
    for (const std::string& single : singles) {
      if (random() % 3 == 0) pieces.emplace_back();
      pieces.back() += single;
    }
    const Outcome expected = Feed(stops, singles);
    ASSERT_EQ(Feed(stops, pieces), expected);
    ASSERT_EQ(Feed(stops, {text}), expected);
    ASSERT_TRUE(text.starts_with(expected.text + expected.match));
    for (const std::string& stop : stops) ASSERT_EQ(expected.text.find(stop), std::string::npos);
    if (expected.match.empty()) {
      ASSERT_EQ(expected.text, text);
    } else {
      ++found;
    }
  }
  EXPECT_GT(found, 1000);
}

TEST(StopMatcher, EmitsWholeCharactersAlone) {
  StopMatcher matcher({"日本語", "é!"});
  for (const char* piece : {"日", "本", "x", "é", "?", "日本"}) {
    const std::string out = matcher.Push(piece);
    EXPECT_TRUE(out.empty() || (static_cast<unsigned char>(out[0]) & 0xC0) != 0x80);
  }
  EXPECT_EQ(matcher.Flush(), "日本");
}

TEST(CheckStopStrings, NamesTheField) {
  const auto field = [](const std::vector<std::string>& stops) {
    const auto violations = FieldViolations(CheckStopStrings(stops));
    return violations.empty() ? std::string() : violations[0].field;
  };
  EXPECT_EQ(field(std::vector<std::string>(17, "x")), "stop");
  EXPECT_EQ(field({"x", ""}), "stop[1]");
  EXPECT_EQ(field({std::string(257, 'x')}), "stop[0]");
  EXPECT_EQ(field(std::vector<std::string>(16, std::string(256, 'x'))), "");
}

}  // namespace
}  // namespace gwq
