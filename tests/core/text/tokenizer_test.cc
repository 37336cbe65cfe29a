#include "core/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/base/status.h"
#include "core/text/stream_decoder.h"
#include "tests/core/text/goldens.h"

namespace gwq {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

// All pieces, and a check that each is valid UTF-8 by itself.
std::string DecodeInPieces(const Tokenizer& tokenizer, const Ids& ids, bool skip) {
  auto stream = StreamDecoder::Create(tokenizer, skip);
  EXPECT_TRUE(stream.ok());
  std::string all;
  const auto add = [&](const absl::StatusOr<std::string>& piece) {
    ASSERT_TRUE(piece.ok()) << piece.status();
    EXPECT_NO_THROW((void)json(*piece).dump()) << "a piece is not valid UTF-8";
    all += *piece;
  };
  for (const int32_t id : ids) add(stream->Push(id));
  add(stream->Flush());
  return all;
}

void ExpectDecodes(const Ids& ids, const std::string& plain, const std::string& skipped) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  EXPECT_EQ(tokenizer.Decode(ids, false).value(), plain);
  EXPECT_EQ(tokenizer.Decode(ids, true).value(), skipped);
  EXPECT_EQ(DecodeInPieces(tokenizer, ids, false), plain);
  EXPECT_EQ(DecodeInPieces(tokenizer, ids, true), skipped);
}

TEST(TokenizerGolden, EncodesAndDecodesAsTransformersAndLlamaCpp) {
  const json golden = ReadGolden("smollm2.json");
  ASSERT_GE(golden["encodings"].size() + golden["dialogues"].size(), 300u);
  for (const json& row : golden["encodings"]) {
    const std::string text = Repeat(row["text"], row.value("times", 1));
    SCOPED_TRACE(row.dump().substr(0, 200));
    const auto ids = SmolLm2().tokenizer().Encode(text, false);
    ASSERT_TRUE(ids.ok()) << ids.status();
    if (row.contains("times")) {
      EXPECT_EQ(ids->size(), row["count"]);
      EXPECT_EQ(HashOf(*ids), row["hash"].get<std::string>());
      EXPECT_EQ(SmolLm2().tokenizer().Decode(*ids, false).value(), text);
      EXPECT_EQ(DecodeInPieces(SmolLm2().tokenizer(), *ids, false), text);
      continue;
    }
    EXPECT_EQ(*ids, row["ids"].get<Ids>());
    const std::string plain = row.value("decoded", text);
    ExpectDecodes(*ids, plain, row.value("skipped", plain));
  }
}

TEST(TokenizerGolden, DecodesRandomIdsInPiecesAsTransformersDecodesThemWhole) {
  const json golden = ReadGolden("smollm2.json");
  for (const json& row : golden["id_runs"]) {
    SCOPED_TRACE(row.dump().substr(0, 200));
    ExpectDecodes(row["ids"].get<Ids>(), row["decoded"], row["skipped"]);
  }
}

TEST(Tokenizer, NamesTokens) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 49152);
  EXPECT_EQ(tokenizer.TokenToId("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer.IdToToken(2), "<|im_end|>");
  EXPECT_TRUE(tokenizer.IsSpecial(2));
  const auto the = tokenizer.TokenToId("\u0120the");
  ASSERT_TRUE(the.has_value());
  EXPECT_FALSE(tokenizer.IsSpecial(*the));
  EXPECT_EQ(tokenizer.TokenToId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.IdToToken(49152), std::nullopt);
  EXPECT_EQ(tokenizer.IdToToken(-1), std::nullopt);
}

TEST(Tokenizer, HoldsBackTheBytesOfACharacterUntilItIsWhole) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  const Ids ids = tokenizer.Encode("\U00012345", false).value();  // in no vocabulary: one token a byte or two
  ASSERT_GE(ids.size(), 2u);
  auto stream = StreamDecoder::Create(tokenizer, false);
  for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(stream->Push(ids[i]).value(), "");
  EXPECT_EQ(stream->Push(ids.back()).value(), "\U00012345");
  EXPECT_EQ(stream->Push(ids.front()).value(), "");
  EXPECT_EQ(stream->Flush().value(), "\uFFFD");
}

TEST(Tokenizer, IdsThatNameNoTokenContributeNothing) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  const Ids ids = {49152, 28120, 2'000'000'000};
  EXPECT_EQ(tokenizer.Decode(ids, false).value(), tokenizer.Decode(Ids{28120}, false).value());
  EXPECT_EQ(DecodeInPieces(tokenizer, ids, false), tokenizer.Decode(ids, false).value());
}

TEST(Tokenizer, RefusesNegativeIdsBadUtf8AndLongText) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  const auto negative = tokenizer.Decode(Ids{5, -1}, false);
  ASSERT_EQ(FieldViolations(negative.status()).size(), 1u);
  EXPECT_EQ(FieldViolations(negative.status())[0].field, "ids[1]");
  auto stream = StreamDecoder::Create(tokenizer, false);
  EXPECT_TRUE(absl::IsInvalidArgument(stream->Push(-7).status()));
  for (const char* text : {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf", "\xf5\x80\x80\x80"}) {
    const auto bad = tokenizer.Encode(text, false);
    EXPECT_TRUE(absl::IsInvalidArgument(bad.status()));
    EXPECT_THAT(std::string(bad.status().message()), HasSubstr("UTF-8"));
  }
  const auto small = Tokenizer::Load(SmolLm2Files().at("tokenizer.json"), {.max_text_bytes = 10, .max_decode_ids = 3});
  ASSERT_TRUE(small.ok());
  EXPECT_TRUE((*small)->Encode("0123456789", false).ok());
  const auto too_long = (*small)->Encode("0123456789a", false);
  EXPECT_TRUE(absl::IsInvalidArgument(too_long.status()));
  EXPECT_THAT(std::string(too_long.status().message()), HasSubstr("11 bytes, the limit is 10"));
  EXPECT_TRUE(absl::IsInvalidArgument((*small)->Decode(Ids{1, 2, 3, 4}, false).status()));
}

TEST(Tokenizer, RefusesMalformedFiles) {
  const std::string& whole = SmolLm2Files().at("tokenizer.json");
  std::vector<std::string> bad = {
      "",
      "{",
      "[]",
      "null",
      "{}",
      "\xff\xfe",
      R"({"model":{"type":"BPE"}})",
      R"({"version":"1.0","model":{"type":"Nonsense","vocab":{},"merges":[]}})",
      R"({"version":"1.0","model":{"type":"BPE","vocab":{},"merges":[]}})",
      R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})",
      R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":[["a","b"]]}})",
      R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}})",
      R"({"version":"1.0","pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":)"
      R"("Isolated","invert":false},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})",
      std::string(200000, '['),
      whole.substr(0, whole.size() / 2),
      whole.substr(1)};
  for (const std::string& json : bad) {
    const auto loaded = Tokenizer::Load(json);
    EXPECT_TRUE(absl::IsInvalidArgument(loaded.status())) << json.substr(0, 120) << loaded.status();
    ASSERT_EQ(FieldViolations(loaded.status()).size(), 1u);
    EXPECT_EQ(FieldViolations(loaded.status())[0].field, "tokenizer.json");
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Tokenizer::Load(whole, {.max_json_bytes = whole.size() - 1}).status()));
}

TEST(Tokenizer, IgnoresTruncationAndPadding) {
  const auto tokenizer = Tokenizer::Load(
      R"({"version":"1.0","truncation":{"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0},)"
      R"("padding":{"strategy":{"Fixed":9},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,)"
      R"("pad_token":"a"},"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT((*tokenizer)->Encode("abab", true).value(), ElementsAre(0, 1, 0, 1));
}

TEST(Tokenizer, ServesSeveralThreads) {
  const Tokenizer& tokenizer = SmolLm2().tokenizer();
  const std::string text = Repeat("Größe 123 日本語 <|im_end|>", 50);
  const Ids expected = tokenizer.Encode(text, false).value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(tokenizer.Encode(text, false).value(), expected);
        EXPECT_EQ(DecodeInPieces(tokenizer, expected, false), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace gwq
