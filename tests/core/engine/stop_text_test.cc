// Stop strings over the borders of tokens, from the decoder's pieces to what a client reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/base/status.h"
#include "tests/core/engine/scheduler_fixture.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using ::testing::HasSubstr;

// The text of the first generated token, of the second and so on, and what is left when no token follows.
struct Script {
  std::vector<std::string> pieces;
  std::string tail;
};

class ScriptedDecoder final : public TokenDecoder {
 public:
  explicit ScriptedDecoder(Script script) : script_(std::move(script)) {}
  absl::StatusOr<std::string> Push(int32_t) override {
    if (next_ == script_.pieces.size()) return absl::DataLossError("no text for that token");
    return script_.pieces[next_++];
  }
  absl::StatusOr<std::string> Flush() override {
    if (script_.tail == "?") return absl::DataLossError("no end of that text");
    return script_.tail;
  }

 private:
  const Script script_;
  size_t next_ = 0;
};

class StopTextTest : public SchedulerTest {
 protected:
  // The answer of a model that says `script`, and which may have a token for each piece.
  Client Say(const Script& script, std::vector<std::string> stops, std::vector<int32_t> stop_ids = {}, int more = 0) {
    GenerationRequest request = Ask({1, 2, 3}, std::ssize(script.pieces) + more);
    request.decoder = std::make_unique<ScriptedDecoder>(script);
    request.stop = std::move(stops);
    request.stop_ids = std::move(stop_ids);
    Scheduler scheduler = Make();
    const Client client = Add(scheduler, std::move(request));
    RunToEnd(scheduler);
    EXPECT_EQ(client.sink->done_calls(), 1);
    EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
    return client;
  }
  static void ExpectStopped(const Client& client, const std::string& text, const std::string& match, size_t tokens) {
    EXPECT_EQ(client.sink->text(), text);
    EXPECT_EQ(client.sink->result().stop_match, match);
    EXPECT_EQ(client.sink->result().reason, FinishReason::kStop);
    EXPECT_EQ(client.sink->tokens().size(), tokens);
  }
  // An id that the model generates as the `index`-th token of these answers and not before.
  int32_t TokenAt(size_t index) { return Alone(Ask({1, 2, 3}, 8))[index]; }
};

TEST_F(StopTextTest, AStringOverSeveralTokensIsCutWhereItBegins) {
  ExpectStopped(Say({{"one ", "two<", "/", "s", ">three", "four"}, ""}, {"</s>"}), "one two", "</s>", 5);
}

TEST_F(StopTextTest, TheRestOfTheTokenThatEndsItIsDropped) {
  ExpectStopped(Say({{"a", "b;c;d", "e"}, "tail"}, {";"}), "ab", ";", 2);
}

TEST_F(StopTextTest, TheLastTokenThatIsAllowedMayStillStopTheAnswer) {
  ExpectStopped(Say({{"a", "E", "ND"}, ""}, {"END"}), "a", "END", 3);
}

TEST_F(StopTextTest, WhatWasHeldBackIsReadWhenNoStopStringCame) {
  const Client full = Say({{"a", "E", "N"}, ""}, {"END"});
  EXPECT_EQ(full.sink->text(), "aEN");
  EXPECT_EQ(full.sink->result().reason, FinishReason::kLength);
  EXPECT_EQ(full.sink->result().stop_match, "");
  ExpectStopped(Say({{"a", "EN", "never read"}, ""}, {"END"}, {TokenAt(2)}), "aEN", "", 3);
}

TEST_F(StopTextTest, TheEndOfTheTextMayCompleteAStopString) {
  ExpectStopped(Say({{"a", "EN"}, "D!"}, {"END"}), "a", "END", 2);
  ExpectStopped(Say({{"a", "EN", "never read"}, "D!"}, {"END"}, {TokenAt(2)}), "a", "END", 3);
}

TEST_F(StopTextTest, TheTextOfAStopIdCompletesNothing) {
  ExpectStopped(Say({{"a", "E", "ND"}, ""}, {"END"}, {TokenAt(2)}), "aE", "", 3);
}

TEST_F(StopTextTest, TheFirstTokenMayStopIt) {
  ExpectStopped(Say({{"END", "b"}, ""}, {"END"}), "", "END", 1);
  ExpectStopped(Say({{"a", "b"}, ""}, {"END"}, {TokenAt(0)}), "", "", 1);
}

TEST_F(StopTextTest, EveryCutOfATextIntoTokensGivesTheSameAnswer) {
  const std::string text = "xaabaaabaabaacz", expected = "xa";
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    Script script;
    size_t ends_in = 0;  // the token that completes "abaaab", which ends at the 8th byte
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min<size_t>(random() % 4, text.size() - at);
      if (at < 8) ++ends_in;
      script.pieces.push_back(text.substr(at, size));
      at += size;
    }
    ExpectStopped(Say(script, {"aac", "abaaab", "baabaac"}), expected, "abaaab", ends_in);
  }
}

TEST_F(StopTextTest, ATokenWithoutTextEndsTheRequestWithTheDecodersError) {
  const Client lost = Say({{"a", "b"}, ""}, {}, {}, /*more=*/1);
  EXPECT_THAT(lost.sink->status(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(lost.sink->text(), "ab") << "what came before it was read";
  EXPECT_THAT(std::string(MessageOf(Say({{"a"}, "?"}, {}).sink->status())), HasSubstr("no end of that text"));
}

}  // namespace
}  // namespace gwq
